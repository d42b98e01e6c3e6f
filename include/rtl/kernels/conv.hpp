// Convolution (cross-correlation) of images [N, H, W, C] with weights [out, in, height, width], contiguous. Images (x,
// y, dy, dx, residual) are f32, f64 or bf16; weights, bias and their gradients f32 with bf16, else the images' dtype.
// With bf16, w is rounded to bf16, sums are f32, and y and dx are rounded once, after bias, residual and relu; but on
// CUDA y is rounded before these, too, and dw is rounded to bf16. Winograd's algorithm or oneDNN (whose relu turns NaN
// into 0) on the host in f32 and bf16, in f32 arithmetic where the processor does not multiply bf16; cuDNN on CUDA in
// f32 and bf16 (images that are not aligned to 16 bytes are copied; f32 in full precision unless TF32 is allowed, see
// rtl/core/tf32.hpp), else patches. 2 * N * OH * OW * out * in * height * width FLOP a call. Deterministic algorithms
// only.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

struct Conv2dOptions {
  int stride = 1;   ///< both directions, positive
  int padding = 0;  ///< zeros on each side, not negative
};

/// floor((extent + 2 * padding - kernel) / stride) + 1. Throws ShapeError if that is not positive.
std::int64_t conv2d_extent(std::int64_t extent, std::int64_t kernel, const Conv2dOptions& options);

/// y = [relu](conv(x, w) [+ bias] [+ residual]). bias [out] and residual (y's shape) may be absent.
void conv2d_forward(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                    View y, bool relu = false, ConstView residual = {});

/// dx = gradient with respect to x, overwritten.
void conv2d_backward_data(const Device& device, ConstView dy, ConstView w, const Conv2dOptions& options, View dx);

/// dw (and dbias [out] if given) = gradients with respect to the parameters, overwritten.
void conv2d_backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options, View dw,
                             View dbias = {});

}  // namespace rtl::kernels
