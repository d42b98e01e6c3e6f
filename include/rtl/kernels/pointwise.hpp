// Elementwise operations with NumPy broadcasting. Operands may be strided; outputs may not overlap an operand unless
// they are the very same view. f32, f64 or bf16 (calculated in f32, rounded once) unless said otherwise; every view of
// a call has one dtype and one device. Bandwidth bound: bytes of all operands, read and written once. Deterministic.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// The functions of one operand: copy, and the rows RTL_UNARY of rtl/kernels/elementwise_functions.inc.
enum class UnaryOp : std::uint8_t {
  copy,
#define RTL_UNARY(name, value, gradient) name,
#include "rtl/kernels/elementwise_functions.inc"
};

/// The functions of two operands, the rows RTL_BINARY.
enum class BinaryOp : std::uint8_t {
#define RTL_BINARY(name, value, gradient_a, gradient_b) name,
#include "rtl/kernels/elementwise_functions.inc"
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
