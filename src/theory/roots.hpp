// Roots by bisection, to the last bit: the formulas' equations are cheap, and bracketed by their derivation.
#pragma once

#include <cmath>
#include <span>
#include <vector>

namespace rtl::theory {

/// A root of `function` in [low, high], where it changes its sign; ends when no double lies between. Unlike Boost's
/// brackets it takes ends at which rounding has hidden the change, and then returns high.
template <typename Function>
double bisect(const Function& function, double low, double high) {
  const bool low_negative = function(low) < 0;
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (!(low < middle && middle < high)) return high;
    ((function(middle) < 0) == low_negative ? low : high) = middle;
  }
}

/// The roots in (low, high] at which the polynomial sum coefficients[i] x^i changes its sign, rising in order. Between
/// two roots of its derivative it is monotone, so that bisection finds them all.
std::vector<double> polynomial_roots(std::span<const double> coefficients, double low, double high);

}  // namespace rtl::theory
