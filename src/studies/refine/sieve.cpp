#include "studies/refine/sieve.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::studies::refine {
namespace {

constexpr std::uint64_t sign_stream = 0x7369676e, sample_stream = 0x736d706c;
constexpr std::int64_t other_features = SieveProblem::feature_count - 1;

/// The solution of the symmetric positive definite system a x = b, a [n, n] by rows, of which the lower half is used.
std::vector<double> solve(std::vector<double>& a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t k = 0; k < j; ++k) a[j * n + j] -= a[j * n + k] * a[j * n + k];
    if (a[j * n + j] <= 0) throw Error("SieveProblem: fewer samples than columns");
    a[j * n + j] = std::sqrt(a[j * n + j]);
    for (std::size_t i = j + 1; i < n; ++i) {
      for (std::size_t k = 0; k < j; ++k) a[i * n + j] -= a[i * n + k] * a[j * n + k];
      a[i * n + j] /= a[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return b;
}

/// Normal equations of rows that are added one by one.
class NormalEquations {
 public:
  explicit NormalEquations(std::size_t columns) : gram_(columns * columns), products_(columns) {}
  void add(const std::vector<double>& row, double y) {
    const std::size_t n = products_.size();
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) gram_[i * n + j] += row[i] * row[j];
      products_[i] += row[i] * y;
    }
  }
  std::vector<double> solution() { return solve(gram_, products_); }

 private:
  std::vector<double> gram_, products_;
};

}  // namespace

SieveProblem::SieveProblem(int dimensions, double smoothness, std::uint64_t seed)
    : dimensions_(dimensions), smoothness_(smoothness), frequencies_(dimensions == 1 ? 256 : 36) {
  for (int i = 0; i < frequencies_; ++i) {
    if (dimensions == 1) order_.push_back({i, 0});
    for (int j = 0; dimensions == 2 && i * i + j * j < frequencies_ * frequencies_; ++j) order_.push_back({i, j});
  }
  const auto square = [](const std::array<int, 2>& j) { return j[0] * j[0] + j[1] * j[1]; };
  std::stable_sort(order_.begin(), order_.end(), [&](const auto& a, const auto& b) { return square(a) < square(b); });
  RandomSequence random(seed, sign_stream);
  double squares = 0;
  for (std::size_t k = 0; k + other_features < order_.size(); ++k) {
    const double norm = std::sqrt(square(order_[k]));
    const double size = k > 0 ? std::pow(norm, -(smoothness + dimensions / 2.0)) : 0;
    const double coefficient = random.uniform() < .5 ? -size : size;
    known_.push_back(k % 2 == 1 ? coefficient : 0);
    residual_.push_back(k % 2 == 0 ? coefficient : 0);
    squares += size * size;
  }
  for (auto* values : {&known_, &residual_}) {
    for (double& value : *values) value /= std::sqrt(squares);
  }
}

std::int64_t SieveProblem::columns(double rho, std::int64_t samples) const {
  const double power = dimensions_ / (2 * smoothness_ + dimensions_);
  return static_cast<std::int64_t>(std::ceil(1.5 * std::pow(rho * rho * static_cast<double>(samples), power)));
}

double SieveProblem::rate() const { return -2 * smoothness_ / (2 * smoothness_ + dimensions_); }
double SieveProblem::rho_exponent() const { return 2 * dimensions_ / (2 * smoothness_ + dimensions_); }

void SieveProblem::evaluate(const std::array<double, 2>& x, std::vector<double>& values) const {
  std::vector<double> cosines(static_cast<std::size_t>(dimensions_ * frequencies_));
  for (int d = 0; d < dimensions_; ++d) {
    double* own = cosines.data() + static_cast<std::ptrdiff_t>(d) * frequencies_;
    const double first = std::cos(std::numbers::pi * x[static_cast<std::size_t>(d)]);
    own[0] = 1;
    own[1] = first;
    for (int j = 2; j < frequencies_; ++j) own[j] = 2 * first * own[j - 1] - own[j - 2];
    for (int j = 1; j < frequencies_; ++j) own[j] *= std::numbers::sqrt2;
  }
  values.resize(order_.size());
  for (std::size_t k = 0; k < order_.size(); ++k) {
    values[k] = cosines[static_cast<std::size_t>(order_[k][0])];
    if (dimensions_ == 2) values[k] *= cosines[static_cast<std::size_t>(frequencies_ + order_[k][1])];
  }
}

double SieveProblem::excess_risk(Features features, double rho, std::int64_t columns, std::int64_t samples,
                                 std::uint64_t seed) const {
  const std::size_t own = features == Features::none ? 0 : feature_count, sieve = static_cast<std::size_t>(columns);
  RandomSequence random(seed, sample_stream), independent(seed, sample_stream + 1);
  NormalEquations equations(own + sieve);
  std::vector<double> basis, row(own + sieve);
  for (std::int64_t i = 0; i < samples; ++i) {
    const double first = random.uniform(), second = random.uniform();
    evaluate({first, second}, basis);
    const double g = std::inner_product(known_.begin(), known_.end(), basis.begin(), 0.0);
    const double r = std::inner_product(residual_.begin(), residual_.end(), basis.begin(), 0.0);
    const double y = g + rho * r + noise_deviation * random.normal();
    if (features == Features::independent) {
      for (std::size_t k = 0; k < own; ++k) row[k] = independent.normal();
    } else if (features == Features::useful) {
      row[0] = g;
      for (std::size_t k = 1; k < own; ++k) row[k] = basis[terms() + k - 1];
    }
    std::copy_n(basis.begin(), sieve, row.begin() + static_cast<std::ptrdiff_t>(own));
    equations.add(row, y);
  }
  const std::vector<double> found = equations.solution();
  // By orthonormality the sum of the squared errors of all coefficients.
  double risk = 0;
  const bool useful = features == Features::useful;
  for (std::size_t k = useful ? 1 : 0; k < own; ++k) risk += found[k] * found[k];
  for (std::size_t k = 0; k < terms(); ++k) {
    double error = -known_[k] - rho * residual_[k];
    if (useful) error += found[0] * known_[k];
    if (k < sieve) error += found[own + k];
    risk += error * error;
  }
  return risk;
}

double SieveProblem::predicted_risk(Features features, double rho, std::int64_t columns, std::int64_t samples) const {
  double bias = 0;
  for (std::size_t k = static_cast<std::size_t>(columns); k < terms(); ++k) {
    const double known = features == Features::useful ? 0 : known_[k];  // one of the two is 0
    bias += known * known + rho * rho * residual_[k] * residual_[k];
  }
  const auto width = static_cast<double>(columns + (features == Features::none ? 0 : feature_count));
  return bias + noise_deviation * noise_deviation * width / static_cast<double>(samples);
}

}  // namespace rtl::studies::refine
