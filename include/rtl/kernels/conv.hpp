// Convolution (cross-correlation) of images [N, H, W, C] with weights [out, in / groups, height, width], contiguous.
// Images (x, y, dy, dx, residual) are f32, f64 or bf16; weights, bias and their gradients f32 with bf16, else the
// images' dtype. With bf16, w is rounded to bf16, sums are f32, and y and dx are rounded once, after bias, residual and
// activation; but on CUDA y is rounded before these, too, and dw is rounded to bf16. On the host f32 and
// bf16 go to Winograd's algorithm, vectors over the channels (depthwise, and of up to four channels, forward) or oneDNN
// (whose activations turn NaN into 0), in f32 arithmetic where the processor does not multiply bf16. On CUDA: depthwise
// convolutions by vectors over the channels; cuDNN in f32 and bf16 (images that are not aligned to 16 bytes are copied;
// f32 in full precision unless TF32 is allowed, see rtl/core/tf32.hpp, and with the bias and a ReLU behind it in the
// same kernel; everything else that follows is a kernel of its own); where that has no algorithm, as for f64 and for
// padding that is not the same on both sides, patches, or sums over each group. 2 * N * OH * OW * out * in / groups *
// height * width FLOP a call. Deterministic algorithms only.
#pragma once

#include <compare>
#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

struct Conv2dOptions {
  int stride = 1;    ///< both directions, positive
  int padding = 0;   ///< zeros on each side, not negative
  int dilation = 1;  ///< distance between neighbouring elements of a filter, positive
  /// Outputs and inputs are cut into so many groups of channels, and the outputs of one see its inputs alone. As many
  /// as channels: depthwise.
  int groups = 1;
  /// TensorFlow's "same" in place of `padding`, which must be 0: ceil(extent / stride) outputs; of the zeros that this
  /// takes the smaller half stands in front. With stride 2 and even extents: 0 and 1 for a kernel of 3, 1 and 2 for 5.
  bool same = false;
  auto operator<=>(const Conv2dOptions&) const = default;
};

/// What goes over the sum: nothing, max(., 0), min(max(., 0), 6).
enum class Activation : std::uint8_t { none, relu, relu6 };

/// floor((extent + 2 * padding - (kernel - 1) * dilation - 1) / stride) + 1, or ceil(extent / stride) for "same".
/// Throws ShapeError if that is not positive, ValueError for options out of range.
std::int64_t conv2d_extent(std::int64_t extent, std::int64_t kernel, const Conv2dOptions& options);

/// Zeros in front of the first element: `padding`, or what "same" makes of the extent.
std::int64_t conv2d_padding(std::int64_t extent, std::int64_t kernel, const Conv2dOptions& options);

/// y = activation(conv(x, w) [+ bias] [+ residual]). bias [out] and residual (y's shape) may be absent.
void conv2d_forward(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                    View y, Activation activation = Activation::none, ConstView residual = {});

/// dx = gradient with respect to x, overwritten.
void conv2d_backward_data(const Device& device, ConstView dy, ConstView w, const Conv2dOptions& options, View dx);

/// dw (and dbias [out] if given) = gradients with respect to the parameters, overwritten.
void conv2d_backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options, View dw,
                             View dbias = {});

}  // namespace rtl::kernels
