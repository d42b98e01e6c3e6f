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

/// The squared distance of the covariances of features [m, d] and [n, d], over 4 d^2; covariances divide by the number
/// of rows less one, and are 0 of one row (Sun and Saenko 2016). A scalar [1]. O((m + n) d^2).
graph::Value coral(const graph::Value& source, const graph::Value& target);

/// The squared maximum mean discrepancy of features [m, d] and [n, d], with the mean of five Gaussian kernels
/// exp(-|a - b|^2 / (2^k s)), k = -2 .. 2, s being the mean squared distance of all pairs of different rows of both, to
/// which no gradient flows (Long et al. 2015): mean k(s, s') + mean k(t, t') - 2 mean k(s, t) over all pairs, which is
/// at least 0. A scalar [1]. O((m + n)^2 d).
graph::Value mmd(const graph::Value& source, const graph::Value& target);

}  // namespace rtl::transfer::objectives
