// The host's side of convolutions with prepared weights.
#pragma once

#include <memory>

#include "kernels/cpu/kept_weights.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cpu {

/// For images of f32 or bf16; w is f32.
std::shared_ptr<KeptWeights> keep_weights(const Device& device, ConstView w, const Conv2dOptions& options,
                                          DType images);

/// conv2d_forward of images of f32 or bf16, with what is kept of w.
void conv2d_forward_kept(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                         View y, Activation activation, ConstView residual, KeptWeights& kept);

}  // namespace rtl::kernels::cpu
