// The activations of networks, and the gradients of those that are made of exponentials; part of kernels/functors.hpp.
#pragma once

#include <cmath>

#include "rtl/core/macros.hpp"

namespace rtl::kernels::functors {

/// max(x, 0); NaN stays NaN.
struct Relu {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    return x < T{0} ? T{0} : x;
  }
};

/// min(max(x, 0), 6); NaN stays NaN.
struct Relu6 {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    return x < T{0} ? T{0} : x > T{6} ? T{6} : x;
  }
};

struct Tanh {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    return std::tanh(x);
  }
};

struct Sigmoid {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    // exp of a negative number only, so nothing overflows.
    const T e = std::exp(-std::fabs(x));
    return (x < T{0} ? e : T{1}) / (T{1} + e);
  }
};

/// GELU's tanh form is x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
template <typename T>
constexpr T gelu_slope = static_cast<T>(1.5957691216057307117597842397375L);
template <typename T>
constexpr T gelu_cubic = static_cast<T>(0.044715L);
template <typename T>
constexpr T root_half = static_cast<T>(0.70710678118654752440084436210485L);
template <typename T>
constexpr T inverse_root_two_pi = static_cast<T>(0.39894228040143267793994605993438L);

/// x times the probability of a standard normal variable below x.
struct Gelu {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    return x * (T(0.5) * std::erfc(-x * root_half<T>));
  }
};

struct GeluBackward {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x, T dy) const {
    const T density = inverse_root_two_pi<T> * std::exp(-T(0.5) * x * x);
    return dy * (T(0.5) * std::erfc(-x * root_half<T>) + x * density);
  }
};

struct GeluTanh {
  template <typename T>
  RTL_HOST_DEVICE static T share(T x) {
    return Sigmoid()(gelu_slope<T> * x * (T{1} + gelu_cubic<T> * x * x));
  }
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    return x * share(x);
  }
};

struct GeluTanhBackward {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x, T dy) const {
    const T share = GeluTanh::share(x), slope = gelu_slope<T> * (T{1} + T{3} * gelu_cubic<T> * x * x);
    return dy * (share * (T{1} + x * slope * (T{1} - share)));
  }
};

struct Silu {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    return x * Sigmoid()(x);
  }
};

struct SiluBackward {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x, T dy) const {
    const T share = Sigmoid()(x);
    return dy * (share * (T{1} + x * (T{1} - share)));
  }
};

struct Swiglu {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T gate, T x) const {
    return Silu()(gate) * x;
  }
};

}  // namespace rtl::kernels::functors
