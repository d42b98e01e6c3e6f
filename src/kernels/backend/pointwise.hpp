// Backend functions of "rtl/kernels/pointwise.hpp": same parameters as the public ones, which have checked
// them. Operands arrive broadcast to the shape of y (stride 0 along repeated axes); y is not empty.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void unary(const Device& device, UnaryOp op, ConstView x, View y))
RTL_DECLARE_BACKENDS(void binary(const Device& device, BinaryOp op, ConstView a, ConstView b, View y))
RTL_DECLARE_BACKENDS(void scale_add(const Device& device, double alpha, ConstView x, double beta, View y))
RTL_DECLARE_BACKENDS(void fill(const Device& device, double value, View y))
RTL_DECLARE_BACKENDS(void cast(const Device& device, ConstView x, View y))
RTL_DECLARE_BACKENDS(void add_relu(const Device& device, ConstView a, ConstView b, View y))
RTL_DECLARE_BACKENDS(void relu_backward(const Device& device, ConstView y, ConstView dy, View dx))

}  // namespace rtl::kernels
