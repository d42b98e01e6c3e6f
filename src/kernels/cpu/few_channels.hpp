// Convolutions of images of few channels, such as the first of a network on colours, NHWC: vectors over the outputs,
// each input broadcast. There oneDNN's direct form pads the channels to its blocks and reaches a tenth of the
// processor's speed. Images are f32 or bf16 (T), widened where they are read and rounded, once, where they are written;
// the arithmetic is f32's. Each output is added up in the order of taps and channels, whatever the number of threads;
// in bf16 two at a time away from the borders of the images, where the processor multiplies pairs.
#pragma once

#include "kernels/cpu/conv_onednn.hpp"
#include "kernels/cpu/depthwise.hpp"

namespace rtl::kernels::cpu {

/// Whether the kernel takes the convolution: up to four channels, outputs a multiple of 16, one group.
bool few_channels_fit(const ConvShape& shape);

/// w [out, in, height, width] as [height, width, in, out], rounded to bf16 if asked for.
void few_channels_pack_weights(const ConvShape& shape, const float* w, bool bf16, float* packed);

/// y = activation(conv(x, w) [+ bias] [+ residual]). y must not overlap x.
template <typename T>
void few_channels_forward(const ConvShape& shape, const T* x, const float* packed, const DepthwiseEpilogue<T>& epilogue,
                          T* y);
extern template void few_channels_forward(const ConvShape&, const float*, const float*, const DepthwiseEpilogue<float>&,
                                          float*);
extern template void few_channels_forward(const ConvShape&, const bfloat16*, const float*,
                                          const DepthwiseEpilogue<bfloat16>&, bfloat16*);

}  // namespace rtl::kernels::cpu
