#include "rtl/kernels/pointwise.hpp"

#include "kernels/backend/pointwise.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {

void unary(const Device& device, UnaryOp op, ConstView x, View y) {
  check::layer_operands("unary", device, {{"x", x}, {"y", y}});
  check::writable("unary", {"y", y});
  const ConstView repeated = check::broadcast("unary", {"x", x}, y.shape());
  if (y.count() == 0) return;
  RTL_DISPATCH(device, unary(device, op, repeated, y));
}

void binary(const Device& device, BinaryOp op, ConstView a, ConstView b, View y) {
  check::layer_operands("binary", device, {{"a", a}, {"b", b}, {"y", y}});
  check::writable("binary", {"y", y});
  const ConstView repeated_a = check::broadcast("binary", {"a", a}, y.shape());
  const ConstView repeated_b = check::broadcast("binary", {"b", b}, y.shape());
  if (y.count() == 0) return;
  RTL_DISPATCH(device, binary(device, op, repeated_a, repeated_b, y));
}

void scale_add(const Device& device, double alpha, ConstView x, double beta, View y) {
  check::layer_operands("scale_add", device, {{"x", x}, {"y", y}});
  check::writable("scale_add", {"y", y});
  const ConstView repeated = check::broadcast("scale_add", {"x", x}, y.shape());
  if (y.count() == 0) return;
  RTL_DISPATCH(device, scale_add(device, alpha, repeated, beta, y));
}

void fill(const Device& device, double value, View y) {
  check::on_device("fill", device, {{"y", y}});
  check::writable("fill", {"y", y});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, fill(device, value, y));
}

void cast(const Device& device, ConstView x, View y) {
  check::on_device("cast", device, {{"x", x}, {"y", y}});
  check::writable("cast", {"y", y});
  const ConstView repeated = check::broadcast("cast", {"x", x}, y.shape());
  if (y.count() == 0) return;
  RTL_DISPATCH(device, cast(device, repeated, y));
}

void add_relu(const Device& device, ConstView a, ConstView b, View y) {
  check::dense_layer_operands("add_relu", device, {{"a", a}, {"b", b}, {"y", y}});
  check::shapes("add_relu", {{"a", a}, {"b", b}}, y.shape());
  if (y.count() == 0) return;
  RTL_DISPATCH(device, add_relu(device, a, b, y));
}

void relu_backward(const Device& device, ConstView y, ConstView dy, View dx) {
  check::dense_layer_operands("relu_backward", device, {{"y", y}, {"dy", dy}, {"dx", dx}});
  check::shapes("relu_backward", {{"y", y}, {"dy", dy}}, dx.shape());
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, relu_backward(device, y, dy, dx));
}

}  // namespace rtl::kernels
