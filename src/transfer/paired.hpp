// How sure a mean of paired differences is.
#pragma once

#include <cstdint>
#include <vector>

namespace rtl::transfer {

struct Paired {
  double mean = 0, standard_error = 0;
};

/// Mean over rows of a - b, none negative, with its standard error. The error is infinite where fewer than two rows are
/// independent of each other, `taken` of them being taken by an intercept; mean and error are 0 where a and b differ by
/// rounding alone.
Paired paired_difference(const std::vector<double>& a, const std::vector<double>& b, std::int64_t taken);

/// mean / standard_error; without an error infinite, or 0 for a mean of 0.
double z_of(double mean, double standard_error);

/// Phi(z)
double normal_probability(double z);

double mean_of(const std::vector<double>& values);

}  // namespace rtl::transfer
