#include "solvers/descent.hpp"

#include <cmath>
#include <deque>
#include <numeric>

namespace rtl::solvers {
namespace {

using Vector = std::vector<double>;

double inner(const Vector& a, const Vector& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

void add(Vector& to, double factor, const Vector& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * from[i];
}

Vector difference(const Vector& a, const Vector& b) {
  Vector result = a;
  add(result, -1, b);
  return result;
}

struct Pair {
  Vector step;
  Vector change;  // of the gradient
  double inverse = 0;
};

/// The two-loop recursion: minus the gradient, curved by the pairs.
Vector direction(const std::deque<Pair>& pairs, const Vector& gradient) {
  Vector result = gradient;
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].inverse * inner(pairs[i].step, result);
    add(result, -alpha[i], pairs[i].change);
  }
  double scale = 1;
  if (!pairs.empty()) scale = 1 / (pairs.back().inverse * inner(pairs.back().change, pairs.back().change));
  for (double& value : result) value *= scale;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const double beta = pairs[i].inverse * inner(pairs[i].change, result);
    add(result, alpha[i] - beta, pairs[i].step);
  }
  for (double& value : result) value = -value;
  return result;
}

}  // namespace

std::vector<double> lbfgs(const SmoothFunction& function, std::vector<double> point, int iterations, double tolerance,
                          std::vector<double>& values) {
  constexpr std::size_t memory = 12;
  constexpr int patience = 10;  // one short step says little
  std::deque<Pair> pairs;
  Vector gradient;
  double value = function(point, gradient);
  values.push_back(value);
  int idle = 0;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    Vector search = direction(pairs, gradient);
    double slope = inner(search, gradient);
    if (!(slope < 0)) {
      pairs.clear();
      search = direction(pairs, gradient);
      slope = inner(search, gradient);
      if (!(slope < 0)) break;
    }
    double length = pairs.empty() ? 0.1 * std::sqrt(inner(point, point) / inner(gradient, gradient)) : 1;
    Vector next, next_gradient;
    double next_value = value;
    bool found = false;
    for (int halving = 0; halving < 50 && !found; ++halving, length /= 2) {
      next = point;
      add(next, length, search);
      next_value = function(next, next_gradient);
      found = next_value <= value + 1e-4 * length * slope;
    }
    if (!found) {
      if (pairs.empty()) break;
      pairs.clear();
      continue;
    }
    Pair pair{difference(next, point), difference(next_gradient, gradient), 0};
    const double curvature = inner(pair.step, pair.change);
    if (curvature > 1e-12 * std::sqrt(inner(pair.step, pair.step) * inner(pair.change, pair.change))) {
      pair.inverse = 1 / curvature;
      pairs.push_back(std::move(pair));
      if (pairs.size() > memory) pairs.pop_front();
    }
    const double gain = value - next_value;
    point = std::move(next);
    gradient = std::move(next_gradient);
    value = next_value;
    values.push_back(value);
    idle = gain <= tolerance * std::abs(value) ? idle + 1 : 0;
    if (idle == patience) break;
  }
  return point;
}

}  // namespace rtl::solvers
