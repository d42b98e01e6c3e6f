// Functions that the activations of networks, and the gradients of those that are made of exponentials, are written
// with; part of kernels/functors.hpp.
#pragma once

#include <cmath>

#include "rtl/core/macros.hpp"

namespace rtl::kernels::functors {

/// GELU's tanh form is x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
template <typename T>
constexpr T gelu_slope = static_cast<T>(1.5957691216057307117597842397375L);
template <typename T>
constexpr T gelu_cubic = static_cast<T>(0.044715L);
template <typename T>
constexpr T root_half = static_cast<T>(0.70710678118654752440084436210485L);
template <typename T>
constexpr T inverse_root_two_pi = static_cast<T>(0.39894228040143267793994605993438L);

/// 1 / (1 + exp(-x)).
template <typename T>
RTL_HOST_DEVICE T logistic(T x) {
  // exp of a negative number only, so nothing overflows.
  const T e = std::exp(-std::fabs(x));
  return (x < T{0} ? e : T{1}) / (T{1} + e);
}

/// The sigmoid of GELU's tanh form.
template <typename T>
RTL_HOST_DEVICE T gelu_tanh_share(T x) {
  return logistic(gelu_slope<T> * x * (T{1} + gelu_cubic<T> * x * x));
}

template <typename T>
RTL_HOST_DEVICE T gelu_tanh_slope(T x) {
  const T share = gelu_tanh_share(x), slope = gelu_slope<T> * (T{1} + T{3} * gelu_cubic<T> * x * x);
  return share * (T{1} + x * slope * (T{1} - share));
}

template <typename T>
RTL_HOST_DEVICE T silu_slope(T x) {
  const T share = logistic(x);
  return share * (T{1} + x * (T{1} - share));
}

}  // namespace rtl::kernels::functors
