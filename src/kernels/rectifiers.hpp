// The functors of activations that clamp.
#pragma once

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

}  // namespace rtl::kernels::functors
