// Convolutions whose weights were packed before: several calls of a step multiply the same weights, and a GPU
// multiplies them in another order than the one in which they are kept.
#pragma once

#include <span>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels {

/// Packed weights are [out, height, width, in / groups], of the dtype of the images: f32, f64, or bf16, whose
/// parameters are f32. The results are, bit for bit, those of the functions of conv.hpp with unpacked weights; but the
/// host gives these gradients of weights of bf16 images in f32, and packed ones in bf16, as CUDA makes both. All throw
/// ShapeError, DTypeError, DeviceError.
class PackedConv2d {
 public:
  /// packed[i] = weights[i], [out, in / groups, height, width], in the other order and dtype; on CUDA 64 of them in a
  /// launch.
  static void pack(const Device& device, std::span<const ConstView> weights, std::span<const View> packed);
  /// The other way round, for gradients.
  static void unpack(const Device& device, std::span<const ConstView> packed, std::span<const View> weights);

  /// As conv2d_forward, conv2d_backward_data and conv2d_backward_weights.
  static void forward(const Device& device, ConstView x, ConstView packed, ConstView bias, const Conv2dOptions& options,
                      View y, Activation activation = Activation::none, ConstView residual = {});
  /// dx [+ added], of the shape of dx, which it may be; then a sum in bf16 is rounded once where the vendor's library
  /// makes it, else twice.
  static void backward_data(const Device& device, ConstView dy, ConstView packed, const Conv2dOptions& options, View dx,
                            ConstView added = {});
  static void backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options,
                               View packed, View dbias = {});
};

}  // namespace rtl::kernels
