// The convolutions that the vendor library makes: cuDNN (cudnn.cpp); in an EMULATED build a stand-in on the host
// (tests/emulation/dnn.cpp). Images are [N, H, W, C], and here weights are [out, height, width, in]. f32, in memory
// aligned to 16 bytes, as some of the library's kernels want it.
#pragma once

#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cuda::vendor {

// Each gives false, having computed nothing, where the library has no deterministic, full-precision algorithm.

/// y = conv(x, w).
bool conv2d_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                    const View& y);
/// dx = gradient with respect to x.
bool conv2d_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          const View& dx);
/// dw = gradient with respect to w.
bool conv2d_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw);

}  // namespace rtl::kernels::cuda::vendor
