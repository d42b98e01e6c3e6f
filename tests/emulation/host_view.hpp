// Views of emulated device memory as the host memory that it is.
#pragma once

#include "rtl/core/tensor.hpp"

namespace emulation {

template <typename V>
V on_host(const V& view, const rtl::Device& host) {
  return view.given() ? V(view.data(), view.dtype(), view.shape(), view.strides(), &host.context()) : V();
}

}  // namespace emulation
