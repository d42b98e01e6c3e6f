// What of "rtl/kernels/linear.hpp" CUDA does in one launch; the rest is made of other functions (kernels/linear.cpp).
// Everything has the leading axis of replicas; x and w have as many, or one.
#pragma once

#include "rtl/kernels/linear.hpp"

namespace rtl::kernels::cuda {

void small_linear_backward(const Device& device, ConstView x, ConstView w, ConstView dy,
                           const LinearGradients& gradients);
/// logits and dlogits [R, rows, classes], loss [R].
void cross_entropy_with_small_linear_gradients(const Device& device, ConstView logits, const Labels& labels,
                                               ConstView x, ConstView w, View dlogits, View loss,
                                               const LinearGradients& gradients);

}  // namespace rtl::kernels::cuda
