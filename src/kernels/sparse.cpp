#include "rtl/kernels/sparse.hpp"

#include "kernels/backend/sparse.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {

void sparse_product(const Device& device, const SparseRows& a, ConstView x, View y) {
  constexpr auto call = "sparse_product";
  const check::Named offsets{"offsets", a.offsets}, columns{"columns", a.columns}, values{"values", a.values};
  check::on_device(call, device, {offsets, columns});
  check::contiguous(call, {offsets, columns});
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}}, {values});
  check::dtype(call, offsets, DType::i32);
  check::dtype(call, columns, DType::i32);
  check::rank(call, offsets, 1);
  check::value(a.offsets.extent(0) > 0, call, "'offsets' [0] ends no row; a matrix of m rows has m + 1 of them");
  check::rank(call, values, 1);
  check::shape(call, columns, a.values.shape());
  const bool stacked = x.rank() == 3;
  if (!stacked) check::rank(call, {"x", x}, 2);
  check::shape(call, {"y", y}, x.shape().with(stacked ? 1 : 0, a.offsets.extent(0) - 1));
  if (y.count() == 0) return;
  RTL_DISPATCH(device, sparse_product(device, a, x, y));
}

}  // namespace rtl::kernels
