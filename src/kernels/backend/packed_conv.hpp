// Backend functions of "rtl/kernels/packed_conv.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/packed_conv.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void pack_weights(const Device& device, std::span<const ConstView> weights,
                                       std::span<const View> packed))
RTL_DECLARE_BACKENDS(void unpack_weights(const Device& device, std::span<const ConstView> packed,
                                         std::span<const View> weights))
RTL_DECLARE_BACKENDS(void packed_conv2d_forward(const Device& device, ConstView x, ConstView packed, ConstView bias,
                                                const Conv2dOptions& options, View y, Activation activation,
                                                ConstView residual))
RTL_DECLARE_BACKENDS(void packed_conv2d_backward_data(const Device& device, ConstView dy, ConstView packed,
                                                      const Conv2dOptions& options, View dx, ConstView added))
RTL_DECLARE_BACKENDS(void packed_conv2d_backward_weights(const Device& device, ConstView x, ConstView dy,
                                                         const Conv2dOptions& options, View packed, View dbias))

}  // namespace rtl::kernels
