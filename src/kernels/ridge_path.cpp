#include "rtl/kernels/ridge_path.hpp"

#include "kernels/backend/ridge_path.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

void floating(const char* call, const check::Named& named) {
  if (named.view.dtype() == DType::f32 || named.view.dtype() == DType::f64) return;
  throw DTypeError(fmt::format("{}: '{}' is {}; f32 or f64 is needed (convert with cast)", call, named.name,
                               name_of(named.view.dtype())));
}

/// Rank 2, and neighbours within a row next to each other.
void row_matrix(const char* call, const check::Named& named) {
  check::rank(call, named, 2);
  const ConstView& view = named.view;
  if (view.count() == 0 || view.extent(1) == 1 || view.strides()[1] == 1) return;
  throw ShapeError(fmt::format("{}: the rows of '{}' {} (strides {}, {}) are not contiguous; copy it first", call,
                               named.name, view.shape().to_string(), view.strides()[0], view.strides()[1]));
}

}  // namespace

void weighted_column_sums(const Device& device, ConstView x, ConstView weights, View sums) {
  constexpr const char* call = "weighted_column_sums";
  check::on_device(call, device, {{"x", x}, {"weights", weights, check::optional}, {"sums", sums}});
  floating(call, {"x", x});
  check::dtype(call, {"weights", weights}, DType::f64);
  check::dtype(call, {"sums", sums}, DType::f64);
  row_matrix(call, {"x", x});
  check::shape(call, {"weights", weights}, {x.extent(0)});
  check::shape(call, {"sums", sums}, {x.extent(1)});
  check::contiguous(call, {{"weights", weights}, {"sums", sums}});
  if (sums.count() == 0) return;
  if (x.extent(0) == 0) return fill(device, 0.0, sums);
  RTL_DISPATCH(device, weighted_column_sums(device, x, weights, sums));
}

void center_rows(const Device& device, ConstView x, ConstView shift, ConstView scale, View out) {
  constexpr const char* call = "center_rows";
  check::on_device(call, device,
                   {{"x", x}, {"shift", shift, check::optional}, {"scale", scale, check::optional}, {"out", out}});
  floating(call, {"x", x});
  floating(call, {"out", out});
  row_matrix(call, {"x", x});
  row_matrix(call, {"out", out});
  check::shape(call, {"out", out}, x.shape());
  check::writable(call, {"out", out});
  check::dtype(call, {"shift", shift}, DType::f64);
  check::dtype(call, {"scale", scale}, DType::f64);
  check::shape(call, {"shift", shift}, {x.extent(1)});
  check::shape(call, {"scale", scale}, {x.extent(0)});
  check::contiguous(call, {{"shift", shift}, {"scale", scale}});
  if (out.count() == 0) return;
  RTL_DISPATCH(device, center_rows(device, x, shift, scale, out));
}

void ridge_path_errors(const Device& device, const RidgePathRows& rows, View left_out, View residual) {
  constexpr const char* call = "ridge_path_errors";
  check::dense_operands(call, device, {{"basis", rows.basis}, {"rotated", rows.rotated}, {"filters", rows.filters}});
  check::on_device(call, device,
                   {{"targets", rows.targets, check::optional},
                    {"mixing", rows.mixing, check::optional},
                    {"intercept_leverage", rows.intercept_leverage, check::optional},
                    {"left_out", left_out},
                    {"residual", residual}});
  const DType dtype = rows.basis.dtype();
  const check::Named optional[] = {
      {"targets", rows.targets}, {"mixing", rows.mixing}, {"intercept_leverage", rows.intercept_leverage}};
  for (const check::Named& named : optional) {
    check::dtype(call, named, dtype);
    check::contiguous(call, {named});
  }
  for (const check::Named& named : {check::Named{"basis", rows.basis},
                                    {"rotated", rows.rotated},
                                    {"filters", rows.filters},
                                    {"mixing", rows.mixing}}) {
    check::rank(call, named, 3);
  }
  const std::int64_t batch = rows.basis.extent(0), r = rows.basis.extent(1), n = rows.basis.extent(2);
  const std::int64_t k = rows.rotated.extent(2), s = rows.filters.extent(1);
  const std::int64_t penalties = rows.mixing.given() ? rows.mixing.extent(1) : s;
  check::shape(call, {"rotated", rows.rotated}, {batch, r, k});
  check::shape(call, {"targets", rows.targets}, {batch, k, n});
  check::shape(call, {"filters", rows.filters}, {batch, s, r});
  check::shape(call, {"mixing", rows.mixing}, {batch, penalties, s});
  check::shape(call, {"intercept_leverage", rows.intercept_leverage}, {batch, n});
  for (const check::Named& named : {check::Named{"left_out", left_out}, {"residual", residual}}) {
    check::dtype(call, named, DType::f64);
    check::shape(call, named, {batch, penalties, k});
    check::contiguous(call, {named});
  }
  if (left_out.count() == 0 || n == 0) return;
  RTL_DISPATCH(device, ridge_path_errors(device, rows, left_out, residual));
}

}  // namespace rtl::kernels
