// What objectives are made of, beside BatchTargets::loss: functions that record in a graph. Everything is f32; outputs
// in bf16 are to be cast before.
#pragma once

#include "rtl/graph/operations.hpp"

namespace rtl::transfer::objectives {

/// Logarithm of the softmax over the last axis of x [m, C].
graph::Value log_softmax(const graph::Value& x);

/// -sum_c one_hot log softmax(logits): [m], of logits and one_hot [m, C].
graph::Value cross_entropy_of_each(const graph::Value& logits, const graph::Value& one_hot);

/// Mean over rows of KL(softmax(teacher / T) || softmax(student / T)), a scalar [1]; no gradient to the teacher
/// (Hinton, Vinyals and Dean 2015, without their factor T^2). Logits [m, C].
graph::Value distillation(const graph::Value& student, const graph::Value& teacher, double temperature);

/// Mean binary cross-entropy of sigmoid(logits) and one label, 0 or 1, for all: a scalar [1].
graph::Value binary_cross_entropy(const graph::Value& logits, bool label);

}  // namespace rtl::transfer::objectives
