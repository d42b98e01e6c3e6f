// Elementwise operations with NumPy broadcasting. Operands may be strided; outputs may not overlap an operand unless
// they are the very same view. f32, f64 or bf16 (calculated in f32, rounded once) unless said otherwise; every view of
// a call has one dtype and one device. Bandwidth bound: bytes of all operands, read and written once. Deterministic.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// gelu is x times the probability of a standard normal variable below x (Hendrycks and Gimpel 2016), gelu_tanh the
/// approximation x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)), silu x sigmoid(x).
enum class UnaryOp : std::uint8_t {
  copy,
  negate,
  absolute,
  exp,
  log,
  sqrt,
  square,
  reciprocal,
  relu,
  sigmoid,
  tanh,
  gelu,
  gelu_tanh,
  silu,
  relu6
};
/// greater_equal gives 1 or 0 in the operands' dtype. The backward ones are of x and dy: dy f'(x). swiglu is silu(a) b
/// (Shazeer 2020).
enum class BinaryOp : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  maximum,
  minimum,
  greater_equal,
  gelu_backward,
  gelu_tanh_backward,
  silu_backward,
  swiglu
};

/// y = op(x). x broadcasts to y's shape. Throws ShapeError, DTypeError, DeviceError.
void unary(const Device& device, UnaryOp op, ConstView x, View y);

/// y = op(a, b). a and b broadcast to y's shape.
void binary(const Device& device, BinaryOp op, ConstView a, ConstView b, View y);

/// y = alpha * x + beta * y; with beta == 0, y is not read. x broadcasts to y's shape.
void scale_add(const Device& device, double alpha, ConstView x, double beta, View y);

/// y = value in every element. Any dtype.
void fill(const Device& device, double value, View y);

/// y = x with conversion between any two dtypes (round to nearest even; float to integer truncates and saturates, NaN
/// gives 0).
void cast(const Device& device, ConstView x, View y);

/// y = max(a + b, 0): the end of a residual block. Equal shapes, contiguous.
void add_relu(const Device& device, ConstView a, ConstView b, View y);

/// dx = dy where y > 0, else 0 (y: the ReLU's output). Equal shapes, contiguous; dx may be dy.
void relu_backward(const Device& device, ConstView y, ConstView dy, View dx);

}  // namespace rtl::kernels
