// The minimum of a function of one variable.
#pragma once

#include <boost/math/tools/minima.hpp>
#include <limits>

namespace rtl::solvers {

/// Where a function with one valley in [low, high] is least, by Brent's method, to half of the digits: closer to the
/// minimum rounding hides which value is less.
template <typename Function>
double find_minimum(const Function& function, double low, double high) {
  return boost::math::tools::brent_find_minima(function, low, high, std::numeric_limits<double>::digits / 2).first;
}

}  // namespace rtl::solvers
