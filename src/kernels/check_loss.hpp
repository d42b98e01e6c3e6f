// Checks that the calls of a cross-entropy share.
#pragma once

#include "kernels/check.hpp"
#include "rtl/kernels/softmax.hpp"

namespace rtl::kernels::check {

/// Rows of logits or of what belongs to them, their labels, and their losses: one a replica, or with `shared_loss` one
/// for all.
void loss(const char* call, const Device& device, const Named& rows, const Labels& labels, const Named& losses,
          bool shared_loss);

/// The operands of cross_entropy_with_gradient.
void loss_with_gradient(const char* call, const Device& device, ConstView logits, const Labels& labels, View dlogits,
                        View loss);

}  // namespace rtl::kernels::check
