#include "transfer/paired.hpp"

#include <cmath>
#include <limits>

namespace rtl::transfer {

double normal_probability(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

double z_of(double mean, double standard_error) {
  if (standard_error > 0) return mean / standard_error;
  return mean > 0 ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
}

Paired paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  Paired result;
  for (std::size_t i = 0; i < a.size(); ++i) result.mean += (a[i] - b[i]) / n;
  if (a.size() < 2) return result;
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
