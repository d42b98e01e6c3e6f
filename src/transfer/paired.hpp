// How sure a mean of paired differences is.
#pragma once

#include <vector>

namespace rtl::transfer {

struct Paired {
  double mean = 0, standard_error = 0;
};

/// Mean over rows of a - b, with its standard error.
Paired paired_difference(const std::vector<double>& a, const std::vector<double>& b);

/// mean / standard_error; infinite without an error, negative then for a mean of 0.
double z_of(double mean, double standard_error);

/// Phi(z)
double normal_probability(double z);

double mean_of(const std::vector<double>& values);

}  // namespace rtl::transfer
