// What objectives are made of, beside BatchTargets::loss: functions that record in a graph. Everything is f32; outputs
// in bf16 are to be cast before, but for maps and features, which are cast here.
#pragma once

#include "rtl/graph/operations.hpp"
#include "rtl/transfer/loss.hpp"

namespace rtl::transfer::objectives {

/// The loss of each sample [m], of outputs [m, outputs] and what they should be, of the same shape: shares of classes,
/// or real values. cross_entropy as below, the others the mean over the outputs: bce of classes, each for itself
/// against all others, (o - w)^2, huber as below. `loss` is not automatic. Throws ShapeError, DTypeError, ValueError.
graph::Value loss_of_each(const Loss& loss, const graph::Value& outputs, const graph::Value& wanted);

/// Logarithm of the softmax over the last axis of x [m, C].
graph::Value log_softmax(const graph::Value& x);

/// -sum_c shares_c log softmax(logits)_c: [m], of logits and how much of each class a sample is, [m, C].
graph::Value cross_entropy_of_each(const graph::Value& logits, const graph::Value& shares);

/// Mean over rows of KL(softmax(teacher / T) || softmax(student / T)), a scalar [1]; no gradient to the teacher
/// (Hinton, Vinyals and Dean 2015, without their factor T^2). Logits [m, C].
graph::Value distillation(const graph::Value& student, const graph::Value& teacher, double temperature);

/// Mean binary cross-entropy of sigmoid(logits) and one label, 0 or 1, for all: a scalar [1].
graph::Value binary_cross_entropy(const graph::Value& logits, bool label);
/// Mean over all elements of -(y log sigmoid(z) + (1 - y) log(1 - sigmoid(z))), of logits z and labels y in [0, 1] of
/// one shape, each label for itself (several labels of a sample, or two classes as one logit): a scalar [1]. Finite for
/// every finite logit; gradients flow to both. Throws ShapeError for different shapes, DTypeError for different dtypes.
graph::Value binary_cross_entropy(const graph::Value& logits, const graph::Value& labels);

/// Mean over all elements of the Huber loss of r = predicted - wanted, of one shape: r^2 / 2 where |r| <= delta, else
/// delta (|r| - delta / 2) (Huber 1964): a scalar [1]. Its first derivative is continuous. Throws ValueError for a
/// delta that is not above 0, ShapeError and DTypeError as above.
graph::Value huber(const graph::Value& predicted, const graph::Value& wanted, double delta = 1);

/// The squared distance of the covariances of features [m, d] and [n, d], over 4 d^2; covariances divide by the number
/// of rows less one, and are 0 of one row (Sun and Saenko 2016). A scalar [1]. O((m + n) d^2).
graph::Value coral(const graph::Value& source, const graph::Value& target);

/// The squared maximum mean discrepancy of features [m, d] and [n, d], with the mean of five Gaussian kernels
/// exp(-|a - b|^2 / (2^k s)), k = -2 .. 2, s being the mean squared distance of all pairs of different rows of both, to
/// which no gradient flows (Long et al. 2015): mean k(s, s') + mean k(t, t') - 2 mean k(s, t) over all pairs, which is
/// at least 0. A scalar [1]. O((m + n)^2 d).
graph::Value mmd(const graph::Value& source, const graph::Value& target);

/// sum_c a_c mean (map - wanted)^2, the mean over all but the last axis, which is that of channels: a scalar [1]
/// (DELTA, Li et al. 2019). attention [C] or not defined: ones. No gradient to what is wanted.
graph::Value map_distance(const graph::Value& map, const graph::Value& wanted, const graph::Value& attention);

/// Sum of the squares of the `count` smallest singular values of features [m, p] (all of them where it has fewer): a
/// scalar [1] (batch spectral shrinkage, Chen et al. 2019). With unit vectors u of these values it is sum |u' F|^2,
/// whose gradient, 2 u u' F, is that of the singular values where these differ from the next ones. The vectors are
/// found in f64. Not for second derivatives. Throws ValueError where m and p are both above 1024.
graph::Value spectral_shrinkage(const graph::Value& features, std::int64_t count);

}  // namespace rtl::transfer::objectives
