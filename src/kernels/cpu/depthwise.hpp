// Depthwise convolutions forward, NHWC, by vectors over the channels: each output is a sum over the taps of its own
// channel, so that no product of matrices is in it and reading the images is what it costs. Images are f32 or bf16 (T),
// widened where they are read and rounded, once, where they are written; the arithmetic is f32's. Where the processor
// multiplies pairs of bf16, two rows of the filter are added up at a time. Each output is added up in the same order,
// whatever its place and the number of threads.
#pragma once

#include "kernels/cpu/conv_onednn.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cpu {

/// Whether the kernel takes the convolution: one input and one output channel a group.
bool depthwise_fits(const ConvShape& shape);

/// w [channels, 1, height, width] as [height, width, channels], rounded to bf16 if asked for.
void depthwise_pack_weights(std::int64_t channels, std::int64_t taps, const float* w, bool bf16, float* packed);

/// What surrounds the convolution.
template <typename T>
struct DepthwiseEpilogue {
  const float* bias = nullptr;  ///< [channels]
  const T* residual = nullptr;  ///< y's shape; may be y itself
  Activation activation = Activation::none;
  bool native = false;  ///< whether the processor rounds to bf16
};

/// y = activation(conv(x, w) [+ bias] [+ residual]). y must not overlap x.
template <typename T>
void depthwise_forward(const ConvShape& shape, const T* x, const float* packed, const DepthwiseEpilogue<T>& epilogue,
                       T* y);
extern template void depthwise_forward(const ConvShape&, const float*, const float*, const DepthwiseEpilogue<float>&,
                                       float*);
extern template void depthwise_forward(const ConvShape&, const bfloat16*, const float*,
                                       const DepthwiseEpilogue<bfloat16>&, bfloat16*);

}  // namespace rtl::kernels::cpu
