// By what passes recognise the operations whose classes no other file needs.
#pragma once

#include <optional>

#include "rtl/graph/operation.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::graph {

bool is_add(const Operation& operation);
/// The activation that an operation is, if it is one that convolutions take behind them.
std::optional<kernels::Activation> activation_of(const Operation& operation);
bool is_relu_backward(const Operation& operation);
bool is_linear(const Operation& operation);
bool is_cross_entropy(const Operation& operation);
bool is_cross_entropy_backward(const Operation& operation);
/// A value of ones.
bool is_ones(const Operation& operation);

}  // namespace rtl::graph
