// Compares reverse-mode gradients with central differences.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "rtl/autodiff/variable.hpp"

namespace rtl::autodiff {

struct GradientCheckOptions {
  /// Half the distance of the two function values. The error of a central difference is about step^2 + 1e-16 / step.
  double step = 1e-5;
  /// Entries checked of each input, drawn at random where it has more; 0 means all.
  std::int64_t entries = 0;
  std::uint64_t seed = 1;
};

/// What was found. An entry's error is |analytic - numeric| / max(1, |analytic|, |numeric|).
struct GradientCheck {
  double largest_error = 0;
  std::string where;  ///< "input 1, entry 17: backward gives 0.25, differences give 0.5"
  std::int64_t entries = 0;
};

/// Checks d(sum of r * function(inputs))/d(inputs) for every input that requires a gradient, r being fixed random
/// weights, so that a whole Jacobian is covered and not only its column sums. `function` must be a pure function of the
/// inputs' values; it is called twice for each entry. The inputs are f64 leaves; their values are restored and their
/// gradients cleared. Throws DTypeError for other dtypes, ValueError if no input requires a gradient.
GradientCheck gradient_check(const std::function<Variable(std::span<const Variable>)>& function,
                             const std::vector<Variable>& inputs, const GradientCheckOptions& options = {});

}  // namespace rtl::autodiff
