// Backend functions of "rtl/kernels/norm.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/norm.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void batch_norm_training_forward(const Device& device, ConstView x, ConstView gamma,
                                                      ConstView beta, double epsilon, double momentum,
                                                      View running_mean, View running_variance, View y, View saved_mean,
                                                      View saved_inverse_deviation, bool relu, ConstView residual))
RTL_DECLARE_BACKENDS(void batch_norm_training_backward(const Device& device, ConstView x, ConstView y, ConstView gamma,
                                                       ConstView saved_mean, ConstView saved_inverse_deviation,
                                                       ConstView dy, View dx, View dgamma, View dbeta, bool relu,
                                                       View dresidual))
RTL_DECLARE_BACKENDS(void batch_norm_evaluation_forward(const Device& device, ConstView x, ConstView gamma,
                                                        ConstView beta, ConstView mean, ConstView variance,
                                                        double epsilon, View y, bool relu, ConstView residual))
RTL_DECLARE_BACKENDS(void batch_norm_evaluation_backward(const Device& device, ConstView x, ConstView y,
                                                         ConstView gamma, ConstView mean, ConstView variance,
                                                         double epsilon, ConstView dy, View dx, View dgamma, View dbeta,
                                                         bool relu, View dresidual))
RTL_DECLARE_BACKENDS(void fold_batch_norm(const Device& device, ConstView w, ConstView bias, ConstView gamma,
                                          ConstView beta, ConstView mean, ConstView variance, double epsilon,
                                          View folded_w, View folded_bias))

}  // namespace rtl::kernels
