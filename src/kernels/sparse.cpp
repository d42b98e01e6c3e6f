#include "rtl/kernels/sparse.hpp"

#include "kernels/backend/sparse.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

/// What a matrix by rows is whatever is done with it; its values' dtype is the callers'.
void check_rows(const char* call, const Device& device, const SparseRows& a, DType offset) {
  const check::Named offsets{"offsets", a.offsets}, columns{"columns", a.columns}, values{"values", a.values};
  check::on_device(call, device, {offsets, columns, values});
  check::contiguous(call, {offsets, columns, values});
  check::dtype(call, offsets, offset);
  check::dtype(call, columns, DType::i32);
  check::rank(call, offsets, 1);
  check::value(a.offsets.extent(0) > 0, call, "'offsets' [0] ends no row; a matrix of m rows has m + 1 of them");
  check::rank(call, values, 1);
  check::shape(call, columns, a.values.shape());
}

}  // namespace

void sparse_product(const Device& device, const SparseRows& a, ConstView x, View y) {
  constexpr auto call = "sparse_product";
  check_rows(call, device, a, DType::i32);
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}}, {{"values", a.values}});
  const bool stacked = x.rank() == 3;
  if (!stacked) check::rank(call, {"x", x}, 2);
  check::shape(call, {"y", y}, x.shape().with(stacked ? 1 : 0, a.offsets.extent(0) - 1));
  if (y.count() == 0) return;
  RTL_DISPATCH(device, sparse_product(device, a, x, y));
}

void gather_sparse_rows(const Device& device, const SparseRows& table, ConstView background, ConstView rows, View out,
                        ConstView counters) {
  constexpr auto call = "gather_sparse_rows";
  check_rows(call, device, table, DType::i64);
  check::on_device(call, device, {{"background", background, check::optional}});
  check::dense_layer_operands(call, device, {{"out", out}});
  check::same_floating(call, {{"values", table.values}, {"background", background}});
  const bool stacked = out.rank() == 3;
  if (!stacked) check::rank(call, {"out", out}, 2);
  const std::int64_t replicas = stacked ? out.extent(0) : 0;
  const std::int64_t count = rows.given() && !counters.given() ? rows.extent(-1) : out.extent(-2);
  check::shape(call, {"out", out}, out.shape().with(stacked ? 1 : 0, count));
  if (background.given()) {
    check::contiguous(call, {{"background", background}});
    check::shape(call, {"background", background}, {out.extent(-1)});
  }
  check::row_numbers(call, device, rows, counters, replicas, count);
  check::value(table.offsets.extent(0) > 1 || count == 0, call, "rows are asked of a table that has none");
  if (out.count() == 0) return;
  RTL_DISPATCH(device, gather_sparse_rows(device, table, background, rows, out, counters));
}

}  // namespace rtl::kernels
