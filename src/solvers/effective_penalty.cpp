#include "rtl/solvers/effective_penalty.hpp"

#include <algorithm>
#include <cmath>

#include "solvers/domain.hpp"

namespace rtl::solvers {
namespace {

constexpr double negligible = 1e-12;  // of the largest eigenvalue

struct Sums {
  double first = 0;       // sum s / (s + kappa)
  double derivative = 0;  // sum s kappa / (s + kappa)^2, minus the slope of the first by log kappa
};

Sums sums(std::span<const double> eigenvalues, double floor, double kappa) {
  Sums sums;
  for (const double s : eigenvalues) {
    if (s <= floor) continue;
    const double share = s / (s + kappa);
    sums.first += share;
    sums.derivative += share * (kappa / (s + kappa));
  }
  return sums;
}

double negligible_below(std::span<const double> eigenvalues) {
  return negligible * *std::max_element(eigenvalues.begin(), eigenvalues.end());
}

}  // namespace

double solve_kappa(std::span<const double> eigenvalues, double penalty, double samples) {
  domain::spectrum("solve_kappa", "eigenvalues", eigenvalues);
  domain::not_negative("solve_kappa", "penalty", penalty);
  domain::positive("solve_kappa", "samples", samples);
  const double floor = negligible_below(eigenvalues);
  double trace = 0, rank = 0;
  for (const double s : eigenvalues) {
    if (s <= floor) continue;
    trace += s;
    ++rank;
  }
  if (penalty == 0 && rank <= samples) return 0;
  // f(kappa) = kappa (1 - df1 / n) - penalty is convex and not negative at the start, so that Newton's steps only
  // go down until rounding stops them.
  double kappa = penalty + trace / samples;
  for (int step = 0; step < 200; ++step) {
    const Sums at = sums(eigenvalues, floor, kappa);
    const double slack = 1 - at.first / samples;
    const double slope = slack + at.derivative / samples;
    const double next = kappa - (kappa * slack - penalty) / slope;
    if (!(next < kappa) || !(next > 0)) break;
    kappa = next;
  }
  return std::max(kappa, penalty);
}

EffectivePenalty effective_penalty(std::span<const double> eigenvalues, double penalty, double samples) {
  EffectivePenalty result;
  result.kappa = solve_kappa(eigenvalues, penalty, samples);
  result.negligible = negligible_below(eigenvalues);
  for (const double s : eigenvalues) {
    if (is_negligible(s, result)) continue;
    const double share = s / (s + result.kappa);
    result.degrees_of_freedom += share;
    result.squared_degrees_of_freedom += share * share;
  }
  result.variance_share = result.squared_degrees_of_freedom / samples;
  return result;
}

}  // namespace rtl::solvers
