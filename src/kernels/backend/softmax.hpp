// Backend functions of "rtl/kernels/softmax.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/softmax.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void softmax(const Device& device, ConstView logits, View probabilities))
RTL_DECLARE_BACKENDS(void cross_entropy_forward(const Device& device, ConstView logits, const Labels& labels,
                                                View probabilities, View loss))
RTL_DECLARE_BACKENDS(void cross_entropy_backward(const Device& device, ConstView probabilities, const Labels& labels,
                                                 ConstView dloss, View dlogits))
RTL_DECLARE_BACKENDS(void cross_entropy_with_gradient(const Device& device, ConstView logits, const Labels& labels,
                                                      View dlogits, View loss))

}  // namespace rtl::kernels
