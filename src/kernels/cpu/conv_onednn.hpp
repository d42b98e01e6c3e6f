// f32 and bf16 convolutions by oneDNN, their primitives made once for each shape and kept in the device's context.
#pragma once

#include <cstdint>

#include "kernels/cpu/kept_weights.hpp"
#include "rtl/core/device.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cpu {

/// Everything that determines a convolution primitive.
struct ConvShape {
  std::int64_t images = 0, height = 0, width = 0, channels = 0;  ///< x [images, height, width, channels]
  std::int64_t out_height = 0, out_width = 0, out_channels = 0;  ///< y [images, out_height, out_width, out_channels]
  std::int64_t kernel_height = 0, kernel_width = 0;
  std::int64_t stride = 1, dilation = 1, groups = 1;
  std::int64_t padding_top = 0, padding_left = 0;  ///< in front of the first row and column
  /// Multiplications and additions of a pass.
  double operations() const {
    const std::int64_t inputs = channels / groups * kernel_height * kernel_width;
    return 2.0 * static_cast<double>(images * out_height * out_width) * static_cast<double>(out_channels) *
           static_cast<double>(inputs);
  }
  friend bool operator==(const ConvShape&, const ConvShape&) = default;
};

// T is the images' type, float or bfloat16; weights, bias and their gradients are f32. Each function gives false,
// having computed nothing, where the processor or oneDNN does not multiply bf16.

/// y = activation(conv(x, w) [+ bias] [+ y]); `add_to_y` says whether y is an input too. bias may be null. With `kept`,
/// what is packed from w is kept there.
template <typename T>
bool onednn_forward(const Device& device, const ConvShape& shape, const T* x, const float* w, const float* bias,
                    Activation activation, bool add_to_y, T* y, KeptWeights* kept);
template <typename T>
bool onednn_backward_data(const Device& device, const ConvShape& shape, const T* dy, const float* w, T* dx);
/// dbias may be null.
template <typename T>
bool onednn_backward_weights(const Device& device, const ConvShape& shape, const T* x, const T* dy, float* dw,
                             float* dbias);

}  // namespace rtl::kernels::cpu
