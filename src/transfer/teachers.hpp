// What a student learns from a teacher.
#pragma once

#include "rtl/graph/graph.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::detail {

/// Outputs of the source's own head for the training rows, f32 [N, outputs] on the fit's device: logits, or predictions
/// of real targets that are standardised as the student's are.
Tensor teacher_outputs(const FitContext& context, const FrozenSource& source);

/// Of a batch's outputs f32 [m, outputs], a scalar: of classes T^2 times the mean over samples of
/// KL(softmax(t / T) || softmax(s / T)) (Hinton, Vinyals and Dean 2015), of real targets the mean over samples and
/// outputs of (s - t)^2, where a temperature has no meaning. No gradient reaches t.
graph::Value teaching(const graph::Value& student, const graph::Value& teacher, bool regression, double temperature);

}  // namespace rtl::transfer::detail
