// Compares the gradients of recorded graphs with central differences.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "rtl/graph/graph.hpp"

namespace rtl::graph {

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
  std::string where;  ///< "input 1, entry 17: the gradient is 0.25, differences give 0.5"
  std::int64_t entries = 0;
};

/// Records `function` of the inputs, in a graph of their device.
using RecordFunction = std::function<Value(Graph& graph, std::span<const Value> inputs)>;

/// Checks d(sum of r * function(inputs))/d(inputs), r being fixed random weights, so that a whole Jacobian is covered
/// and not only its column sums. The function must depend on nothing but its inputs; it runs twice for each entry, as a
/// plan. The inputs are f64 and keep their values. Throws DTypeError for other dtypes, ValueError without inputs.
GradientCheck gradient_check(const RecordFunction& function, std::vector<Storage> inputs,
                             const GradientCheckOptions& options = {});

/// The same for the second derivative: d(gradient . v)/d(inputs), v fixed random directions, against central
/// differences of the gradients.
GradientCheck second_gradient_check(const RecordFunction& function, std::vector<Storage> inputs,
                                    const GradientCheckOptions& options = {});

}  // namespace rtl::graph
