#include "rtl/kernels/gather.hpp"

#include "kernels/backend/gather.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

/// Row numbers, a table of [n, ...] and values of [m, ...] that belong together.
void check_rows(const char* call, const Device& device, ConstView rows, const check::Named& table,
                const check::Named& values) {
  check::on_device(call, device, {{"rows", rows}, table, values});
  check::contiguous(call, {{"rows", rows}, table, values});
  check::rank(call, {"rows", rows}, 1);
  if (rows.dtype() != DType::i32 && rows.dtype() != DType::i64) {
    throw DTypeError(fmt::format("{}: 'rows' is {}; i32 or i64 is needed", call, name_of(rows.dtype())));
  }
  if (table.view.rank() < 1) throw ShapeError(fmt::format("{}: '{}' is a scalar and has no rows", call, table.name));
  check::shape(call, values, table.view.shape().with(0, rows.extent(0)));
  check::value(table.view.extent(0) > 0 || rows.extent(0) == 0, call, [&] {
    return fmt::format("rows are asked of '{}' {}, which has none", table.name, table.view.shape().to_string());
  });
}

}  // namespace

void gather_rows(const Device& device, ConstView table, ConstView rows, View out) {
  check_rows("gather_rows", device, rows, {"table", table}, {"out", out});
  if (out.dtype() != table.dtype()) check::same_floating("gather_rows", {{"out", out}});
  if (out.count() == 0) return;
  RTL_DISPATCH(device, gather_rows(device, table, rows, out));
}

void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out) {
  constexpr auto call = "gather_images";
  check_rows(call, device, rows, {"table", table}, {"out", out});
  check::dtype(call, {"table", table}, DType::u8);
  check::rank(call, {"table", table}, 4);
  check::dense_operands(call, device, {{"out", out}, {"scale", scale}, {"shift", shift}});
  check::shapes(call, {{"scale", scale}, {"shift", shift}}, {table.extent(3)});
  if (out.count() == 0) return;
  RTL_DISPATCH(device, gather_images(device, table, rows, scale, shift, out));
}

void scatter_add_rows(const Device& device, ConstView values, ConstView rows, View table) {
  check_rows("scatter_add_rows", device, rows, {"table", table}, {"values", values});
  check::same_floating("scatter_add_rows", {{"table", table}, {"values", values}});
  if (values.count() == 0) return;
  RTL_DISPATCH(device, scatter_add_rows(device, values, rows, table));
}

}  // namespace rtl::kernels
