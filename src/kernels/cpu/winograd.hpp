// 3x3 convolutions with stride 1 and padding 1 by Winograd's minimal filtering (Lavin and Gray, "Fast algorithms for
// convolutional neural networks", 2016), f32, NHWC: F(4x4, 3x3) needs 2.25 multiplications for an output pixel and pair
// of channels, where the direct form needs 9.
#pragma once

#include <cstdint>

#include "rtl/core/device.hpp"

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

/// Transforms w [out_channels, channels, 3, 3] for winograd_forward. With `backward_data`, w is turned (180 degrees, in
/// and out exchanged), so that winograd_forward computes the gradient of the input; `channels` and `out_channels` are
/// still those of w.
void winograd_transform_weights(std::int64_t channels, std::int64_t out_channels, const float* w, bool backward_data,
                                float* transformed);

/// What surrounds the convolution.
struct WinogradEpilogue {
  const float* bias = nullptr;      ///< [out_channels]
  const float* residual = nullptr;  ///< y's shape; may be y itself
  bool relu = false;
};

/// y = [relu](conv(x, w) [+ bias] [+ residual]). y must not overlap x. Uses the device's threads, which share the tiles
/// evenly; the result does not depend on their number.
void winograd_forward(const Device& device, const WinogradShape& shape, const float* x, const float* transformed,
                      const WinogradEpilogue& epilogue, float* y);

}  // namespace rtl::kernels::cpu
