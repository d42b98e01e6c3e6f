// Differentiable operations: the kernels of rtl/kernels with their gradients. Shapes, dtypes and errors are the
// kernels'. Images are [N, H, W, C].
#pragma once

#include <cstdint>
#include <span>

#include "rtl/autodiff/variable.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/pool.hpp"

namespace rtl::autodiff {

/// a + b, a - b, a * b with broadcasting (gradients are summed back to each operand's shape).
Variable add(const Variable& a, const Variable& b);
Variable subtract(const Variable& a, const Variable& b);
Variable multiply(const Variable& a, const Variable& b);
/// factor * x.
Variable scale(const Variable& x, double factor);
Variable relu(const Variable& x);
Variable sigmoid(const Variable& x);
Variable tanh(const Variable& x);
/// max(a + b, 0) in one pass; equal shapes.
Variable add_relu(const Variable& a, const Variable& b);
/// Sum or mean of all elements, a scalar of shape [1].
Variable sum(const Variable& x);
Variable mean(const Variable& x);

/// [relu](x w^T + bias): x [N, in], w [out, in], bias [out] or not defined.
Variable linear(const Variable& x, const Variable& w, const Variable& bias, bool relu = false);

/// [relu](conv(x, w) + bias): w [out, in, height, width], bias [out] or not defined.
Variable conv2d(const Variable& x, const Variable& w, const Variable& bias, const kernels::Conv2dOptions& options,
                bool relu = false);

/// Batch norm over the last axis, optionally with a residual sum and ReLU behind it: y = [relu](norm(x) [+ residual]).
/// Training uses batch statistics and updates the running ones (rtl/kernels/norm.hpp).
struct BatchNormOptions {
  bool training = false;
  double epsilon = 1e-5;
  double momentum = 0.1;
  bool relu = false;
};
Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                    Tensor& running_variance, const BatchNormOptions& options, const Variable& residual = {});

Variable max_pool(const Variable& x, const kernels::PoolOptions& options);
Variable average_pool(const Variable& x, const kernels::PoolOptions& options);
/// [N, H, W, C] to [N, C].
Variable global_average_pool(const Variable& x);
/// [N, H, W, C] to [N, C * H * W] in channel, row, column order.
Variable flatten(const Variable& x);
/// Option-A shortcut to `channels` channels at half the resolution.
Variable shortcut_a(const Variable& x, std::int64_t channels);
/// Inverted dropout; the identity when `probability` is 0.
Variable dropout(const Variable& x, double probability, std::uint64_t seed, std::uint64_t stream);
/// out[i] = table[rows[i]]; rows i32 or i64, no gradient for rows.
Variable gather_rows(const Variable& table, const Tensor& rows);

/// One block of a fused head; `features` that require no gradient (a frozen source) get none computed.
struct FusionInput {
  Variable features;  ///< [N, p]
  double scale = 1.0;
  ConstView keep = {};  ///< [N], multiplies each sample's block; the memory must live until backward has run
};
/// Logits of the concatenated, scaled blocks (rtl/kernels/residual_fusion.hpp).
Variable residual_fusion(std::span<const FusionInput> blocks, const Variable& w, const Variable& bias);

/// Mean softmax cross-entropy, a scalar of shape [1]. labels i32 [N], checked by the caller.
Variable cross_entropy(const Variable& logits, const Tensor& labels);

}  // namespace rtl::autodiff
