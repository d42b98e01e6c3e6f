// 3x3 convolutions with stride 1 and padding 1 by Winograd's minimal filtering (Lavin and Gray, "Fast algorithms for
// convolutional neural networks", 2016), NHWC: F(4x4, 3x3) needs 2.25 multiplications for an output pixel and pair of
// channels, where the direct form needs 9. Images are f32 or bf16 (T), the arithmetic is f32's: bf16 images are widened
// where they are read and rounded, once, where they are written. (Products of bf16 would lose more in the transforms
// than bf16 images do; with the smaller tiles that bear it, F(2x2, 3x3), they would not be faster.)
#pragma once

#include <cstdint>

#include "kernels/cpu/depthwise.hpp"
#include "rtl/core/device.hpp"
#include "rtl/core/dtype.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cpu {

/// A 3x3 convolution with stride 1 and padding 1: x [images, height, width, channels], y the same with out_channels.
struct WinogradShape {
  std::int64_t images = 0, height = 0, width = 0, channels = 0, out_channels = 0;
};

/// Whether the kernel takes these numbers of channels.
bool winograd_fits(std::int64_t channels, std::int64_t out_channels);
/// Whether images of this size are large enough to be faster than by the direct form.
bool winograd_pays(std::int64_t height, std::int64_t width);

/// Number of floats that the transformed weights of in x out channels take.
std::int64_t winograd_weight_count(std::int64_t channels, std::int64_t out_channels);

/// What the transformed weights are for.
struct WinogradWeights {
  bool backward_data =
      false;          ///< turned (180 degrees, in and out exchanged): winograd_forward gives the input's gradient
  bool bf16 = false;  ///< rounded to bf16 beforehand
};

/// Transforms w [out_channels, channels, 3, 3] for winograd_forward; `channels` and `out_channels` are those of w, also
/// for backward_data.
void winograd_transform_weights(std::int64_t channels, std::int64_t out_channels, const float* w, WinogradWeights kind,
                                float* transformed);

/// y = activation(conv(x, w) [+ bias] [+ residual]). y must not overlap x. Uses the device's threads, which share the
/// tiles evenly; the result does not depend on their number.
template <typename T>
void winograd_forward(const Device& device, const WinogradShape& shape, const T* x, const float* transformed,
                      const DepthwiseEpilogue<T>& epilogue, T* y);
extern template void winograd_forward(const Device&, const WinogradShape&, const float*, const float*,
                                      const DepthwiseEpilogue<float>&, float*);
extern template void winograd_forward(const Device&, const WinogradShape&, const bfloat16*, const float*,
                                      const DepthwiseEpilogue<bfloat16>&, bfloat16*);

}  // namespace rtl::kernels::cpu
