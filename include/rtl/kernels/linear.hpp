// Gradients of a linear layer y = x w^T + bias, and the step from logits to the gradients of the layer that made them.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/softmax.hpp"

namespace rtl::kernels {

/// Extents of one product of a linear layer: x [rows, inputs], w [outputs, inputs].
struct LinearExtents {
  std::int64_t rows, inputs, outputs;
};

/// Where the gradients of a linear layer go; those that are absent are not made.
struct LinearGradients {
  View dw = {};     ///< [outputs, inputs] = dy^T x
  View dbias = {};  ///< [outputs] = sums of dy over the rows; not without dw
  View dx = {};     ///< [rows, inputs] = dy w, of the dtype of x
  /// x comes from a ReLU, and dx goes through it: it is 0 where x is.
  bool relu = false;
};

/// Gradients of y = x w^T + bias for dy [rows, outputs]. All f32, all f64, or x, dy and dx bf16 with f32 weights, which
/// are rounded to bf16 for the product; sums are in the dtype of the weights, on the host those of gemm and
/// column_sums. All contiguous. R replicas in one go: everything has a leading axis of R; x and w may lack it, and are
/// shared. 4 rows inputs outputs FLOP. On CUDA one launch where the layer is small, as heads are
/// (linear_backward_is_one_launch), whose sums over the rows go in ranges of 128; else the vendor's products. The order
/// of additions depends on the extents alone. Throws ShapeError, DTypeError, DeviceError.
void linear_backward(const Device& device, ConstView x, ConstView w, ConstView dy, const LinearGradients& gradients);

/// Whether linear_backward is one launch on CUDA: up to 2^23 products of numbers.
constexpr bool linear_backward_is_one_launch(const LinearExtents& extents) {
  constexpr std::int64_t most = std::int64_t{1} << 23;
  return extents.outputs <= most && extents.rows <= most / (extents.outputs > 0 ? extents.outputs : 1) &&
         extents.inputs <= most / (extents.rows * extents.outputs > 0 ? extents.rows * extents.outputs : 1);
}

/// cross_entropy_with_gradient, then linear_backward of the layer x w^T + bias that made the logits, with its dlogits
/// for dy: the same bits. f32 or f64. On CUDA one launch where linear_backward is, of fewer than 2,048 classes.
void cross_entropy_with_linear_gradients(const Device& device, ConstView logits, const Labels& labels, ConstView x,
                                         ConstView w, View dlogits, View loss, const LinearGradients& gradients);

/// Whether that is one launch on CUDA.
constexpr bool cross_entropy_with_linear_gradients_is_one_launch(const LinearExtents& extents) {
  return extents.outputs < 2048 && linear_backward_is_one_launch(extents);
}

}  // namespace rtl::kernels
