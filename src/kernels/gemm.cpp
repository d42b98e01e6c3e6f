#include "rtl/kernels/gemm.hpp"

#include <algorithm>

#include "kernels/backend/gemm.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

bool has_bias(Epilogue epilogue) { return epilogue == Epilogue::bias || epilogue == Epilogue::bias_relu; }
bool has_relu(Epilogue epilogue) { return epilogue == Epilogue::relu || epilogue == Epilogue::bias_relu; }

/// The matrix with strides that BLAS accepts, also where an extent of 1 makes a stride meaningless.
template <typename V>
V matrix(const char* name, V view) {
  check::rank("gemm", {name, view}, 2);
  const std::int64_t rows = view.extent(0), columns = view.extent(1);
  Strides strides = view.strides();
  if (columns <= 1) strides[1] = 1;
  if (rows <= 1) strides[0] = std::max<std::int64_t>(columns, 1);
  if (view.count() > 0 && (strides[1] != 1 || strides[0] < columns)) {
    throw ShapeError(fmt::format("gemm: the rows of '{}' {} (strides {}, {}) are not contiguous; copy it first", name,
                                 view.shape().to_string(), view.strides()[0], view.strides()[1]));
  }
  return {view.data(), view.dtype(), view.shape(), strides, view.context()};
}

/// epilogue(beta * C), the product of nothing.
void empty_product(const Device& device, double beta, View c, Epilogue epilogue, ConstView bias) {
  if (beta == 0) {
    fill(device, 0.0, c);
  } else {
    scale_add(device, beta, c, 0.0, c);
  }
  if (has_bias(epilogue)) scale_add(device, 1.0, bias, 1.0, c);
  if (has_relu(epilogue)) unary(device, UnaryOp::relu, c, c);
}

}  // namespace

void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  check::operands("gemm", device, {{"c", c}, {"a", a}, {"b", b}, {"bias", bias, check::optional}});
  a = matrix("a", a);
  b = matrix("b", b);
  c = matrix("c", c);
  const int inner_a = transpose_a == Transpose::no ? 1 : 0;
  const int inner_b = transpose_b == Transpose::no ? 0 : 1;
  if (a.extent(inner_a) != b.extent(inner_b)) {
    throw ShapeError(fmt::format("gemm: the inner extents of 'a' {}{} and 'b' {}{} differ ({} and {})",
                                 a.shape().to_string(), inner_a == 0 ? " transposed" : "", b.shape().to_string(),
                                 inner_b == 1 ? " transposed" : "", a.extent(inner_a), b.extent(inner_b)));
  }
  check::shape("gemm", {"c", c}, {a.extent(1 - inner_a), b.extent(1 - inner_b)});
  if (has_bias(epilogue)) {
    check::on_device("gemm", device, {{"bias", bias}});
    check::shape("gemm", {"bias", bias}, {c.extent(1)});
    check::contiguous("gemm", {{"bias", bias}});
  } else {
    check::value(!bias.given(), "gemm", "a bias is given, but the epilogue adds none; use Epilogue::bias");
  }
  if (c.count() == 0) return;
  if (a.extent(inner_a) == 0) return empty_product(device, beta, c, epilogue, bias);
  RTL_DISPATCH(device, gemm(device, transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias));
}

void column_sums(const Device& device, ConstView x, View out) {
  check::dense_operands("column_sums", device, {{"x", x}, {"out", out}});
  check::rank("column_sums", {"x", x}, 2);
  check::shape("column_sums", {"out", out}, {x.extent(1)});
  if (out.count() == 0) return;
  if (x.extent(0) == 0) return fill(device, 0.0, out);
  RTL_DISPATCH(device, column_sums(device, x, out));
}

}  // namespace rtl::kernels
