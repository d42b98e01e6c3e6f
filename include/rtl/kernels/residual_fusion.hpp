// Residual fusion, the head of residual feature integration (REFINE, Xu, Nakada, Zhang and Li 2025): logits from the
// concatenation z = [s_1 m_1 x_1 ; ... ; s_K m_K x_K] of any number of feature blocks, without ever building z.
#pragma once

#include <span>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// One block of features and the columns of the weight matrix that belong to it (blocks are laid out in order).
struct FusionBlock {
  /// x_k [N, p_k], contiguous, of the head's dtype, which is that of w: f32 or f64. f32 heads also take bf16.
  ConstView features;
  double scale = 1.0;  ///< s_k
  /// m_k [N], of the head's dtype: multiplies sample i's block (0 drops it); absent means 1.
  ConstView mask = {};
};

/// logits [N, C] = sum over k of s_k m_k x_k W_k^T + bias, W = [W_1 | ... | W_K] being [C, sum p_k], bias [C] or
/// absent. 2 N C sum(p_k) FLOP; reads every feature once. Throws ShapeError (also for a block without
/// columns), DTypeError, DeviceError; ValueError without blocks.
void residual_fusion_forward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView bias,
                             View logits);

/// dw [C, sum p_k] and dbias [C] (may be absent), overwritten. dfeatures[k] [N, p_k] receives the gradient of block k,
/// in the dtype of its features; an absent view skips it (a frozen source). dfeatures is empty or has one entry per
/// block.
void residual_fusion_backward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView dlogits,
                              View dw, View dbias, std::span<const View> dfeatures);

}  // namespace rtl::kernels
