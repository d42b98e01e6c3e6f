// The minimum of a function of one variable.
#pragma once

#include <cmath>

namespace rtl::solvers {

/// Where a function with one valley in [low, high] is least, to 1e-9 of the interval, by golden sections: 45 calls.
template <typename Function>
double golden_section(const Function& function, double low, double high) {
  const double ratio = (std::sqrt(5.0) - 1) / 2, precision = 1e-9 * (high - low);
  double left = high - ratio * (high - low), right = low + ratio * (high - low);
  double at_left = function(left), at_right = function(right);
  while (high - low > precision) {
    if (at_left <= at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - ratio * (high - low);
      at_left = function(left);
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + ratio * (high - low);
      at_right = function(right);
    }
  }
  return (low + high) / 2;
}

}  // namespace rtl::solvers
