// Checks that the calls of a cross-entropy share.
#pragma once

#include "kernels/check.hpp"
#include "rtl/kernels/softmax.hpp"

namespace rtl::kernels::check {

/// The operands of cross_entropy_with_gradient.
void loss_with_gradient(const char* call, const Device& device, ConstView logits, const Labels& labels, View dlogits,
                        View loss);

}  // namespace rtl::kernels::check
