// Minimisation of smooth functions by L-BFGS.
#pragma once

#include <functional>
#include <vector>

namespace rtl::solvers {

/// The value at a point; the gradient there goes into the second argument.
using SmoothFunction = std::function<double(const std::vector<double>& point, std::vector<double>& gradient)>;

/// L-BFGS with 12 pairs and backtracking line search (Armijo); values at the start and after every iteration are
/// appended to `values`. Ends after `iterations`, or when ten steps in a row gain less than `tolerance` of the value
/// each. Returns the last point, which is the best.
std::vector<double> lbfgs(const SmoothFunction& function, std::vector<double> point, int iterations, double tolerance,
                          std::vector<double>& values);

}  // namespace rtl::solvers
