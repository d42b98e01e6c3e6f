// Softmax and its cross-entropy loss over rows of logits [rows, classes], contiguous, f32 and f64; labels i32 [rows].
// Every row is shifted by its maximum, so large logits do not overflow.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// probabilities[i] = softmax(logits[i]); may be the same view.
void softmax(const Device& device, ConstView logits, View probabilities);

/// loss (one element) = mean over rows of -log softmax(logits)[label], accumulated in f64; `probabilities` serves the
/// backward pass. Labels must be in [0, classes): the caller checks them once, where data enters. Throws ValueError for
/// zero rows.
void cross_entropy_forward(const Device& device, ConstView logits, ConstView labels, View probabilities, View loss);

/// dlogits = dloss * (probabilities - onehot(labels)) / rows. dloss has one element. dlogits may be probabilities.
void cross_entropy_backward(const Device& device, ConstView probabilities, ConstView labels, ConstView dloss,
                            View dlogits);

}  // namespace rtl::kernels
