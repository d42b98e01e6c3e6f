// By what passes recognise the operations whose classes no other file needs.
#pragma once

#include <optional>

#include "rtl/graph/operation.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/prepared_linear.hpp"

namespace rtl::graph {

bool is_add(const Operation& operation);
/// The activation that an operation is, if it is one that convolutions take behind them.
std::optional<kernels::Activation> activation_of(const Operation& operation);
/// The activation that an operation is, if it is one that prepared linear layers take behind them.
std::optional<kernels::LinearActivation> linear_activation_of(const Operation& operation);
/// A concatenation along the first axis.
bool is_stack(const Operation& operation);
bool is_relu_backward(const Operation& operation);
bool is_linear(const Operation& operation);
bool is_cross_entropy(const Operation& operation);
bool is_cross_entropy_backward(const Operation& operation);
/// A value of ones.
bool is_ones(const Operation& operation);

}  // namespace rtl::graph
