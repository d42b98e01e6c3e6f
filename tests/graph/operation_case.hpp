// One description of an operation gives all its checks: values against a plain double-precision reference, first and
// second derivatives against differences, bf16 against f64, planned runs against node-by-node ones and captured ones,
// and replicas against separate runs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rtl/graph/gradient_check.hpp"

namespace rtl::graph::test {

using Numbers = std::vector<double>;

struct OperationCase {
  std::string name;
  std::vector<Shape> shapes;  ///< of the inputs, which are differentiated
  RecordFunction record;
  /// The values that `record` must give, row-major.
  std::function<Numbers(const std::vector<Numbers>&)> reference;
  /// Inputs are low + (high - low) * uniform.
  double low = -2, high = 2;
  /// Largest error in f32, in units of 2^-24 of the largest value.
  double roundoffs = 8;
  bool second_derivative = true;
  /// Largest error of value and gradients in bf16, in unit roundoffs, 2^-8, of the largest element: gradient rules are
  /// of up to four operations, each of which rounds. 0: it takes no bf16.
  double bf16_roundoffs = 4;
  /// Size of the terms whose differences the gradients are, where each term is rounded to bf16: of a result whose
  /// largest element is smaller the error is in proportion to them.
  double bf16_terms = 1e-3;
  /// Which inputs are parameters, f32 beside bf16 activations; none if empty.
  std::vector<bool> parameters = {};
};

/// All checks of a case, on every device of the build.
void check(const OperationCase& operation);

}  // namespace rtl::graph::test
