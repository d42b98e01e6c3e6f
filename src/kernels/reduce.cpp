#include "rtl/kernels/reduce.hpp"

#include "kernels/backend/reduce.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {

namespace {

void check_reduction(const char* call, const Device& device, const ConstView& x, const View& y) {
  if (x.given() && x.dtype() == DType::bf16 && y.given() && y.dtype() == DType::f32) {
    check::layer_operands(call, device, {{"x", x}}, {{"y", y}});
  } else {
    check::layer_operands(call, device, {{"x", x}, {"y", y}});
  }
  check::contiguous(call, {{"y", y}});
}

}  // namespace

void reduce(const Device& device, ReduceOp op, ConstView x, View y) {
  check_reduction("reduce", device, x, y);
  check::rank("reduce", {"y", y}, x.rank());
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (y.extent(axis) != x.extent(axis) && y.extent(axis) != 1) {
      throw ShapeError(fmt::format("reduce: 'y' {} must have extent {} or 1 on axis {} of 'x' {}",
                                   y.shape().to_string(), x.extent(axis), axis, x.shape().to_string()));
    }
  }
  if (y.count() == 0) return;
  if (x.count() == 0) {
    check::value(op == ReduceOp::sum, "reduce", "only the sum of no elements is defined");
    return fill(device, 0.0, y);
  }
  RTL_DISPATCH(device, reduce(device, op, x, y));
}

void reduce_batch(const Device& device, ReduceOp op, ConstView x, View y) {
  constexpr auto call = "reduce_batch";
  check_reduction(call, device, x, y);
  check::rank(call, {"y", y}, x.rank());
  const bool batches = x.rank() > 0 && x.extent(0) == y.extent(0);
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (!batches || (y.extent(axis) != x.extent(axis) && y.extent(axis) != 1)) {
      throw ShapeError(fmt::format("{}: 'y' {} must have extent {} {}on axis {} of 'x' {}", call, y.shape().to_string(),
                                   x.extent(axis), axis == 0 ? "" : "or 1 ", axis, x.shape().to_string()));
    }
  }
  if (y.count() == 0) return;
  if (x.count() == 0) {
    check::value(op == ReduceOp::sum, call, "only the sum of no elements is defined");
    return fill(device, 0.0, y);
  }
  RTL_DISPATCH(device, reduce_batch(device, op, x, y));
}

void argmax_rows(const Device& device, ConstView x, View indices) {
  check::on_device("argmax_rows", device, {{"x", x}, {"indices", indices}});
  check::same_floating("argmax_rows", {{"x", x}});
  check::dtype("argmax_rows", {"indices", indices}, DType::i32);
  check::contiguous("argmax_rows", {{"x", x}, {"indices", indices}});
  check::rank("argmax_rows", {"x", x}, 2);
  check::shape("argmax_rows", {"indices", indices}, {x.extent(0)});
  if (x.extent(0) == 0) return;
  check::value(x.extent(1) > 0, "argmax_rows", "the rows have no elements");
  RTL_DISPATCH(device, argmax_rows(device, x, indices));
}

bool all_finite(const Device& device, ConstView x) {
  check::on_device("all_finite", device, {{"x", x}});
  if (!is_floating(x.dtype())) {
    throw DTypeError(fmt::format("all_finite: 'x' is {}; f32, f64, bf16 or f16 is needed", name_of(x.dtype())));
  }
  check::contiguous("all_finite", {{"x", x}});
  if (x.count() == 0) return true;
  RTL_DISPATCH(device, all_finite(device, x));
}

void column_moments(const Device& device, ConstView x, View mean, View variance) {
  check::on_device("column_moments", device, {{"x", x}, {"mean", mean}, {"variance", variance}});
  check::same_floating("column_moments", {{"x", x}});
  check::dtype("column_moments", {"mean", mean}, DType::f64);
  check::dtype("column_moments", {"variance", variance}, DType::f64);
  check::contiguous("column_moments", {{"x", x}, {"mean", mean}, {"variance", variance}});
  check::rank("column_moments", {"x", x}, 2);
  check::shapes("column_moments", {{"mean", mean}, {"variance", variance}}, {x.extent(1)});
  if (x.extent(1) == 0) return;
  check::value(x.extent(0) > 0, "column_moments", "there are no rows to take moments of");
  RTL_DISPATCH(device, column_moments(device, x, mean, variance));
}

}  // namespace rtl::kernels
