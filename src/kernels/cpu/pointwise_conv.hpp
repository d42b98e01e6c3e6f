// Convolutions of one pixel with images of bf16: products with weights in panels.
#pragma once

#include "kernels/cpu/conv_onednn.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cpu {

/// Whether panels serve the convolution: with 1 x 1 weights, stride 1, no padding and groups, on a processor that
/// multiplies bf16 by vectors. (With tiles, AMX, oneDNN is faster.)
bool pointwise_fits(const ConvShape& shape, DType images);

/// w [out, in] of f32, rounded, as panels.
Tensor pointwise_panels(const Device& device, ConstView w);

/// y = activation(conv(x, w) [+ bias] [+ residual]). `bias` and `residual` may be null, the residual y itself.
void pointwise_forward(const ConvShape& shape, const bfloat16* x, ConstView panels, const float* bias,
                       const bfloat16* residual, Activation activation, bfloat16* y);

}  // namespace rtl::kernels::cpu
