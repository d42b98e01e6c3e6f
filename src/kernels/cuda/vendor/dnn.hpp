// The convolutions that the vendor library makes: cuDNN (cudnn.cpp); in an EMULATED build a stand-in on the host
// (tests/emulation/dnn.cpp). Images are [N, H, W, C], and here weights are [out, height, width, in / groups]. As many
// zeros of padding stand behind each axis as before it. All f32, or all bf16 with products added in f32; in memory
// aligned to dnn_alignment, as some of the library's kernels want it. f32 is multiplied in full precision unless TF32
// is allowed ("rtl/core/tf32.hpp").
#pragma once

#include <cstdint>

#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cuda::vendor {

/// In bytes.
constexpr std::uintptr_t dnn_alignment = 16;

// Each gives false, having computed nothing, where the library has no deterministic algorithm of that precision.

/// y = conv(x, w).
bool conv2d_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                    const View& y);
/// dx [+]= gradient with respect to x.
bool conv2d_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          bool accumulate, const View& dx);
/// dw = gradient with respect to w.
bool conv2d_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw);

}  // namespace rtl::kernels::cuda::vendor
