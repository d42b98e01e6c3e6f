// Softmax and its cross-entropy loss over rows of logits [rows, classes], contiguous, f32 and f64; labels i32 [rows].
// Every row is shifted by its maximum, so large logits do not overflow.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// probabilities[i] = softmax(logits[i]); may be the same view.
void softmax(const Device& device, ConstView logits, View probabilities);

/// Which labels belong to the rows: label i is labels[i], or labels[rows[begin + i]] where `rows`, the i32 or i64 [N]
/// of a whole epoch, and counters are given (rtl/kernels/step_state.hpp). All labels are in [0, classes): the caller
/// checks them once, where data enters.
///
/// Below, logits [R, rows, classes] are R replicas in one go, with a loss each: [R] or [R, 1]. Their labels (without
/// `rows`), rows and counters then have a leading axis too, or are shared.
struct Labels {
  ConstView labels;
  ConstView rows = {};
  ConstView counters = {};
};

/// loss (one element) = mean over rows of -log softmax(logits)[label], accumulated in f64; `probabilities`, which may
/// be the logits, serves the backward pass. Throws ValueError for zero rows.
void cross_entropy_forward(const Device& device, ConstView logits, const Labels& labels, View probabilities, View loss);

/// dlogits = dloss * (probabilities - onehot(labels)) / rows. dloss has one element, or one for each replica. dlogits
/// may be probabilities.
void cross_entropy_backward(const Device& device, ConstView probabilities, const Labels& labels, ConstView dloss,
                            View dlogits);

/// The loss, and its gradient with respect to the logits, at once: on CUDA one launch for a batch of usual size.
/// dlogits may be the logits.
void cross_entropy_with_gradient(const Device& device, ConstView logits, const Labels& labels, View dlogits, View loss);

}  // namespace rtl::kernels
