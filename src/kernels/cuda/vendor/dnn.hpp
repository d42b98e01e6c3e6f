// The convolutions that the vendor library makes: cuDNN (cudnn.cpp); in an EMULATED build a stand-in on the host
// (tests/emulation/dnn.cpp). Images are [N, H, W, C], and here weights are [out, height, width, in / groups]. As many
// zeros of padding stand behind each axis as before it. All f32, or all bf16 with products added in f32; in memory
// aligned to dnn_alignment, as some of the library's kernels want it. f32 is multiplied in full precision unless TF32
// is allowed ("rtl/core/tf32.hpp").
#pragma once

#include <cstdint>

#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cuda::vendor {

/// In bytes.
constexpr std::uintptr_t dnn_alignment = 16;

/// What follows a convolution: activation(sum + bias), bias [out] of the images' dtype.
struct ConvEpilogue {
  ConstView bias;
  Activation activation = Activation::none;
  bool empty() const { return !bias.given() && activation == Activation::none; }
};

/// Whether the library may be asked for an epilogue. It has compiled kernels for a bias, and a ReLU behind it, in the
/// images' own dtype, which in bf16 a bias does not have; for others it would compile kernels. Its engines for a sum
/// and a bias may add the products in another order than those for the sum alone, so a convolution with a bias always
/// goes there, whatever follows.
inline bool may_fuse(const ConvEpilogue& epilogue, DType images) {
  if (epilogue.activation == Activation::none) return !epilogue.bias.given() || images == DType::f32;
  return epilogue.activation == Activation::relu && epilogue.bias.given() && images == DType::f32;
}

// Each gives false, having computed nothing, where the library has no deterministic algorithm of that precision. The
// first call of a problem prepares it; later ones only queue work, and can be captured in a CUDA graph.

/// y = activation(conv(x, w) [+ bias]). False, too, for what may_fuse refuses. The sums, bias added, have the same bits
/// with a ReLU and without it.
bool conv2d_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                    const ConvEpilogue& epilogue, const View& y);
/// dx [+]= gradient with respect to x. With `accumulate` the sums are those of the call without it, to which what is
/// there is added before they are rounded; it may be refused where that is not.
bool conv2d_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                          bool accumulate, const View& dx);
/// dw = gradient with respect to w.
bool conv2d_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                             const Conv2dOptions& options, const View& dw);

}  // namespace rtl::kernels::cuda::vendor
