// The host multiplies weights as they are kept, so it unpacks them.
#include "kernels/backend/packed_conv.hpp"
#include "kernels/backend/conv.hpp"
#include "kernels/backend/pointwise.hpp"

namespace rtl::kernels::cpu {
namespace {

Tensor plain(const Device& device, const ConstView& packed) {
  const Shape& shape = packed.shape();
  return {{shape[0], shape[3], shape[1], shape[2]}, parameter_dtype(packed.dtype()), device};
}

Tensor unpacked(const Device& device, const ConstView& packed) {
  Tensor w = plain(device, packed);
  cpu::cast(device, packed.permuted({0, 3, 1, 2}), w);
  return w;
}

}  // namespace

void pack_weights(const Device& device, std::span<const ConstView> weights, std::span<const View> packed) {
  for (std::size_t i = 0; i < weights.size(); ++i) cpu::cast(device, weights[i].permuted({0, 2, 3, 1}), packed[i]);
}

void unpack_weights(const Device& device, std::span<const ConstView> packed, std::span<const View> weights) {
  for (std::size_t i = 0; i < weights.size(); ++i) cpu::cast(device, packed[i].permuted({0, 3, 1, 2}), weights[i]);
}

void packed_conv2d_forward(const Device& device, ConstView x, ConstView packed, ConstView bias,
                           const Conv2dOptions& options, View y, Activation activation, ConstView residual) {
  cpu::conv2d_forward(device, x, unpacked(device, packed), bias, options, y, activation, residual);
}

void packed_conv2d_backward_data(const Device& device, ConstView dy, ConstView packed, const Conv2dOptions& options,
                                 View dx, ConstView added) {
  if (!added.given()) return cpu::conv2d_backward_data(device, dy, unpacked(device, packed), options, dx);
  Tensor found(dx.shape(), dx.dtype(), device);
  cpu::conv2d_backward_data(device, dy, unpacked(device, packed), options, found);
  cpu::binary(device, BinaryOp::add, found, added, dx);
}

void packed_conv2d_backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options,
                                    View packed, View dbias) {
  Tensor dw = plain(device, packed);
  cpu::conv2d_backward_weights(device, x, dy, options, dw, dbias);
  cpu::cast(device, dw.view().permuted({0, 2, 3, 1}), packed);
}

}  // namespace rtl::kernels::cpu
