// Second derivatives of operations whose backward pass is one fused operation.
#pragma once

#include <functional>
#include <vector>

#include "rtl/graph/operation.hpp"

namespace rtl::graph {

/// An input of the forward operation, and which operand of the backward operation it is; -1: of none.
struct PlainInput {
  Value value;
  int operand = -1;
};

/// Records the gradients of a backward operation, whose result i is the gradient with respect to inputs[i] and whose
/// operand `dy` is the gradient of the forward operation's result. `formula` records that result from the inputs with
/// operations that have gradients of their own: it is differentiated twice. For f32 and f64; Operation::gradient, which
/// throws, where it is bf16.
void gradient_by_formula(const Operation& operation, GradientCall& call, const std::vector<PlainInput>& inputs, int dy,
                         const std::function<Value(const std::vector<Value>& inputs)>& formula);

}  // namespace rtl::graph
