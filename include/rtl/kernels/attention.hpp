// Multi-head attention (Vaswani et al. 2017) whose score matrix is never stored: tiles of it are made, normalised on
// the way and used up, and made again for the gradient (Milakov and Gimelshein 2018; Rabe and Staats 2021; Dao et al.
// 2022). Of each row only the logarithm of its sum of exponentials is kept.
//
// Layout: q, out and their gradients are [N, T, H, D], k, v and theirs [N, S, G, D], of f32, f64 or bf16. The D
// elements of a head are neighbours; all other strides are free, so that q, k and v may be views of one fused product
// [N, T, H + 2G, D]. H is a multiple of G, and head h reads key and value head h / (H / G) ("grouped queries", Ainslie
// et al. 2023). log_sum_exp is [N, H, T] of the dtype of parameters, contiguous.
//
// A query sees all keys, or the first lengths[n] of sequence n (i32 [N]), and, if causal, query i keys up to i + S - T
// only. Where it sees none, out is 0, log_sum_exp minus infinity, and there is no gradient.
//
// Arithmetic: 4 N H T S D FLOP forward, 10 backward, half of that if causal. Memory: operands and results, read once
// for each tile of queries or keys, and for each thread of the host scratch of some tiles and of 2 S D numbers; nothing
// grows with T S. bf16 multiplies bf16 and sums in f32; the host rounds probabilities and score gradients to bf16 for
// the next product, CUDA does not. Results do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

struct AttentionOptions {
  /// Of the scores in front of the softmax; 0: 1 / sqrt(D).
  double scale = 0;
  bool causal = false;
  /// Probability with which a weight is dropped behind the softmax; the others are divided by 1 - dropout. The mask
  /// is that of rtl/kernels/dropout.hpp for weights [N, H, T, S]: draws of Philox(seed, mix(name, step)), seed and step
  /// being those of counters (rtl/kernels/step_state.hpp), which are only looked at with dropout.
  double dropout = 0;
  std::uint64_t name = 0;
};

/// out = softmax(scale q k^T) v for every head. lengths and counters may be absent. Head sizes up to 256. Throws
/// ShapeError, DTypeError, DeviceError; ValueError for a dropout outside [0, 1) or without counters.
void attention_forward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                       ConstView counters, const AttentionOptions& options, View out, View log_sum_exp);

/// Gradients, overwritten, of the forward pass with the same operands and counters. dq, dk and dv may be views of one
/// tensor; they may not overlap an operand.
void attention_backward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                        ConstView counters, const AttentionOptions& options, ConstView out, ConstView log_sum_exp,
                        ConstView dout, View dq, View dk, View dv);

}  // namespace rtl::kernels
