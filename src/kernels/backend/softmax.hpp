// Backend functions of "rtl/kernels/softmax.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/softmax.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void softmax(const Device& device, ConstView logits, View probabilities))
RTL_DECLARE_BACKENDS(void cross_entropy_forward(const Device& device, ConstView logits, ConstView labels,
                                                View probabilities, View loss))
RTL_DECLARE_BACKENDS(void cross_entropy_backward(const Device& device, ConstView probabilities, ConstView labels,
                                                 ConstView dloss, View dlogits))

}  // namespace rtl::kernels
