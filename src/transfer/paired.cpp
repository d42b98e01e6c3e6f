#include "transfer/paired.hpp"

#include <cmath>
#include <limits>

namespace rtl::transfer {

double normal_probability(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

double z_of(double mean, double standard_error) {
  if (mean == 0 || std::isinf(standard_error)) return 0;
  if (standard_error > 0) return mean / standard_error;
  return std::copysign(std::numeric_limits<double>::infinity(), mean);
}

Paired paired_difference(const std::vector<double>& a, const std::vector<double>& b, std::int64_t taken) {
  // Leave-one-out errors of the same fit by two ways agree to about this.
  constexpr double rounding = 1e-12;
  const auto n = static_cast<double>(a.size());
  Paired result;
  bool differ = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    result.mean += (a[i] - b[i]) / n;
    differ = differ || std::fabs(a[i] - b[i]) > rounding * (a[i] + b[i]);
  }
  if (!differ) return {};
  if (static_cast<std::int64_t>(a.size()) - taken < 2) {
    result.standard_error = std::numeric_limits<double>::infinity();
    return result;
  }
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += std::pow(a[i] - b[i] - result.mean, 2);
  result.standard_error = std::sqrt(squares / (n - 1) / n);
  return result;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace rtl::transfer
