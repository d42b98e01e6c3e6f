// Pooling of images [N, H, W, C], contiguous, f32, f64 or bf16 (summed in f32, rounded once). Bandwidth bound.
// Deterministic.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

struct PoolOptions {
  int window = 2;  ///< height and width
  int stride = 2;
  /// Positions on each side that windows reach beyond the image and that never are the largest; at most half a window.
  /// Of max pooling only.
  int padding = 0;
};

/// y [N, OH, OW, C], OH = floor((H + 2 * padding - window) / stride) + 1; `winners` (i32, y's shape) keeps the position
/// row * W + column of the (first) largest element of each window. NaN wins.
void max_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y, View winners);

/// dx = dy summed onto the winners, overwritten.
void max_pool_backward(const Device& device, ConstView dy, ConstView winners, const PoolOptions& options, View dx);

/// y = x at the winners: the transposed map of max_pool_backward.
void max_pool_gather(const Device& device, ConstView x, ConstView winners, const PoolOptions& options, View y);

/// Mean of each window. Throws ValueError for a padding.
void average_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y);
void average_pool_backward(const Device& device, ConstView dy, const PoolOptions& options, View dx);

/// y [N, C] = mean over all positions, summed in f64. Means of bf16 images, and their gradients, may be f32.
void global_average_pool_forward(const Device& device, ConstView x, View y);
void global_average_pool_backward(const Device& device, ConstView dy, View dx);

/// [N, H, W, C] to [N, C * H * W] in channel, row, column order: the order that linear layers of checkpoints expect.
void flatten_forward(const Device& device, ConstView x, View y);
void flatten_backward(const Device& device, ConstView dy, View dx);

/// The parameter-free shortcut "option A" of CIFAR ResNets: y[n, h, w, c + pad] = x[n, 2h, 2w, c] and zeros elsewhere,
/// with y [N, ceil(H/2), ceil(W/2), C_out] and pad = (C_out - C) / 2 zero channels in front.
void shortcut_a_forward(const Device& device, ConstView x, View y);
void shortcut_a_backward(const Device& device, ConstView dy, View dx);

}  // namespace rtl::kernels
