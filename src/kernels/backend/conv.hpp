// Backend functions of "rtl/kernels/conv.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels {

/// Shape of the output; checks images [N, H, W, in] and weights [out, in / groups, height, width] against each other.
Shape conv2d_output(const char* call, const Shape& images, ConstView w, const Conv2dOptions& options);

RTL_DECLARE_BACKENDS(void conv2d_forward(const Device& device, ConstView x, ConstView w, ConstView bias,
                                         const Conv2dOptions& options, View y, Activation activation,
                                         ConstView residual))
RTL_DECLARE_BACKENDS(void conv2d_backward_data(const Device& device, ConstView dy, ConstView w,
                                               const Conv2dOptions& options, View dx))
RTL_DECLARE_BACKENDS(void conv2d_backward_weights(const Device& device, ConstView x, ConstView dy,
                                                  const Conv2dOptions& options, View dw, View dbias))

}  // namespace rtl::kernels
