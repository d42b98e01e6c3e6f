// Batch normalisation over the last axis (Ioffe and Szegedy 2015): x is [rows, C] or [N, H, W, C], contiguous, f32, f64
// or bf16; statistics are over all but the last axis, accumulated in f64. ReLU and a residual sum may be fused behind
// it. y, the residual and their gradients have x's dtype; the [C] vectors too, but f32 with bf16. bf16 is calculated in
// f32 and rounded once.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// Training: y = [relu](gamma * (x - mean) / sqrt(variance + epsilon) + beta [+ residual]) with the batch's mean and
/// population variance. Updates running = (1 - momentum) * running + momentum * batch, the variance unbiased (n / (n -
/// 1)), as PyTorch. saved_mean and saved_inverse_deviation ([C]) serve the backward pass. Throws ValueError
/// for fewer than two rows. y may be x or the residual.
void batch_norm_training_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, double epsilon,
                                 double momentum, View running_mean, View running_variance, View y, View saved_mean,
                                 View saved_inverse_deviation, bool relu = false, ConstView residual = {});

/// Gradients of the training form, overwritten. With relu, y is the forward's output (else it may be absent); with a
/// residual, dresidual receives its gradient (else absent). dx may be dy.
void batch_norm_training_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView saved_mean,
                                  ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta,
                                  bool relu = false, View dresidual = {});

/// Evaluation with running statistics, which are not changed. y may be x or the residual.
void batch_norm_evaluation_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, ConstView mean,
                                   ConstView variance, double epsilon, View y, bool relu = false,
                                   ConstView residual = {});

/// Gradients of the evaluation form (statistics constant), overwritten; as above.
void batch_norm_evaluation_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView mean,
                                    ConstView variance, double epsilon, ConstView dy, View dx, View dgamma, View dbeta,
                                    bool relu = false, View dresidual = {});

/// Folds an evaluation batch norm into the convolution before it: folded_w[o] = w[o] * s, folded_bias[o] = (bias[o] -
/// mean[o]) * s + beta[o], s = gamma[o] / sqrt(variance[o] + epsilon). bias may be absent (zero). w is [out, ...]; f32
/// or f64.
void fold_batch_norm(const Device& device, ConstView w, ConstView bias, ConstView gamma, ConstView beta, ConstView mean,
                     ConstView variance, double epsilon, View folded_w, View folded_bias);

}  // namespace rtl::kernels
