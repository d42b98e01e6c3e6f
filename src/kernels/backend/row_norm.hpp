// Backend functions of "rtl/kernels/row_norm.hpp": same parameters as the public ones, which have checked them. There
// is at least one row and one column.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/row_norm.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void layer_norm_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta,
                                             double epsilon, View y, View saved_mean, View saved_inverse_deviation))
RTL_DECLARE_BACKENDS(void layer_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_mean,
                                              ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma,
                                              View dbeta))
RTL_DECLARE_BACKENDS(void rms_norm_forward(const Device& device, ConstView x, ConstView gamma, double epsilon, View y,
                                           View saved_inverse))
RTL_DECLARE_BACKENDS(void rms_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_inverse,
                                            ConstView dy, View dx, View dgamma))

}  // namespace rtl::kernels
