#include "rtl/kernels/gemm.hpp"

#include <algorithm>
#include <utility>

#include "kernels/backend/gemm.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

bool has_bias(Epilogue epilogue) { return epilogue == Epilogue::bias || epilogue == Epilogue::bias_relu; }
bool has_relu(Epilogue epilogue) { return epilogue == Epilogue::relu || epilogue == Epilogue::bias_relu; }

/// The matrix, or batch of matrices, with strides that BLAS accepts, also where an extent of 1 makes a stride
/// meaningless.
template <typename V>
V matrices(const char* call, const char* name, int rank, V view) {
  check::rank(call, {name, view}, rank);
  const std::int64_t rows = view.extent(-2), columns = view.extent(-1);
  Strides strides = view.strides();
  std::int64_t &row = strides[static_cast<std::size_t>(rank - 2)],
               &column = strides[static_cast<std::size_t>(rank - 1)];
  if (view.count() > 0 && ((columns > 1 && column != 1) || (rows > 1 && row < columns))) {
    throw ShapeError(fmt::format("{}: the rows of '{}' {} (strides {}, {}) are not contiguous; copy it first", call,
                                 name, view.shape().to_string(), row, column));
  }
  if (columns <= 1) column = 1;
  if (rows <= 1) row = std::max<std::int64_t>(columns, 1);
  return {view.data(), view.dtype(), view.shape(), strides, view.context()};
}

/// All of one dtype, f32 or f64; or a, b or both bf16, the rest f32 but c, which may be bf16.
void check_dtypes(const char* call, ConstView a, ConstView b, View c, ConstView bias) {
  if (a.dtype() != DType::bf16 && b.dtype() != DType::bf16) {
    return check::same_floating(call, {{"a", a}, {"b", b}, {"c", c}, {"bias", bias}});
  }
  for (const check::Named& named : {check::Named{"a", a}, {"b", b}, {"c", c}}) {
    if (named.view.dtype() != DType::bf16) check::dtype(call, named, DType::f32);
  }
  check::dtype(call, {"bias", bias}, DType::f32);
}

/// epilogue(beta * C), the product of nothing.
void empty_product(const Device& device, double beta, View c, Epilogue epilogue, ConstView bias) {
  if (c.dtype() == DType::bf16) {
    Tensor wide(c.shape(), DType::f32, device);
    if (beta != 0) cast(device, c, wide);
    empty_product(device, beta, wide, epilogue, bias);
    return cast(device, wide, c);
  }
  if (beta == 0) {
    fill(device, 0.0, c);
  } else {
    scale_add(device, beta, c, 0.0, c);
  }
  if (has_bias(epilogue)) scale_add(device, 1.0, bias, 1.0, c);
  if (has_relu(epilogue)) unary(device, UnaryOp::relu, c, c);
}

/// Shapes of everything but the bias; gives the inner extent.
std::int64_t check_shapes(const char* call, Transpose transpose_a, Transpose transpose_b, ConstView a, ConstView b,
                          View c) {
  const int inner_a = transpose_a == Transpose::no ? -1 : -2, inner_b = transpose_b == Transpose::no ? -2 : -1;
  if (a.extent(inner_a) != b.extent(inner_b)) {
    throw ShapeError(fmt::format("{}: the inner extents of 'a' {}{} and 'b' {}{} differ ({} and {})", call,
                                 a.shape().to_string(), inner_a == -2 ? " transposed" : "", b.shape().to_string(),
                                 inner_b == -1 ? " transposed" : "", a.extent(inner_a), b.extent(inner_b)));
  }
  check::shape(call, {"c", c}, c.shape().with(-2, a.extent(-3 - inner_a)).with(-1, b.extent(-3 - inner_b)));
  return a.extent(inner_a);
}

void check_bias(const char* call, const Device& device, Epilogue epilogue, ConstView bias) {
  if (has_bias(epilogue)) {
    check::on_device(call, device, {{"bias", bias}});
    check::contiguous(call, {{"bias", bias}});
  } else if (bias.given()) {
    throw ValueError(fmt::format("{}: a bias is given, but the epilogue adds none; use Epilogue::bias", call));
  }
}

}  // namespace

void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  check::on_device("gemm", device, {{"c", c}, {"a", a}, {"b", b}, {"bias", bias, check::optional}});
  check_dtypes("gemm", a, b, c, bias);
  a = matrices("gemm", "a", 2, a);
  b = matrices("gemm", "b", 2, b);
  c = matrices("gemm", "c", 2, c);
  const std::int64_t inner = check_shapes("gemm", transpose_a, transpose_b, a, b, c);
  check_bias("gemm", device, epilogue, bias);
  if (has_bias(epilogue)) check::shape("gemm", {"bias", bias}, {c.extent(1)});
  if (c.count() == 0) return;
  if (inner == 0) return empty_product(device, beta, c, epilogue, bias);
  RTL_DISPATCH(device, gemm(device, transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias));
}

void gemm_batched(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a,
                  ConstView b, double beta, View c, Epilogue epilogue, ConstView bias) {
  constexpr const char* call = "gemm_batched";
  check::on_device(call, device, {{"c", c}, {"a", a}, {"b", b}, {"bias", bias, check::optional}});
  check_dtypes(call, a, b, c, bias);
  a = matrices(call, "a", 3, a);
  b = matrices(call, "b", 3, b);
  c = matrices(call, "c", 3, c);
  check::writable(call, {"c", c});
  const std::int64_t inner = check_shapes(call, transpose_a, transpose_b, a, b, c), batch = c.extent(0);
  for (const auto& [name, operand] : {std::pair{"a", a}, {"b", b}}) {
    if (operand.extent(0) == batch || operand.extent(0) == 1) continue;
    throw ShapeError(fmt::format("{}: '{}' {} has {} matrices for the {} of 'c' {}; all or 1 are possible", call, name,
                                 operand.shape().to_string(), operand.extent(0), batch, c.shape().to_string()));
  }
  check_bias(call, device, epilogue, bias);
  if (has_bias(epilogue)) {
    check::shape(call, {"bias", bias}, bias.rank() == 1 ? Shape{c.extent(2)} : Shape{batch, c.extent(2)});
    bias = bias.reshaped({bias.count() / std::max<std::int64_t>(c.extent(2), 1), 1, c.extent(2)});
  }
  if (c.count() == 0) return;
  if (inner == 0) return empty_product(device, beta, c, epilogue, bias);
  RTL_DISPATCH(device, gemm_batched(device, transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias));
}

void column_sums(const Device& device, ConstView x, View out) {
  check::dense_layer_operands("column_sums", device, {{"x", x}}, {{"out", out}});
  check::rank("column_sums", {"x", x}, 2);
  check::shape("column_sums", {"out", out}, {x.extent(1)});
  if (out.count() == 0) return;
  if (x.extent(0) == 0) return fill(device, 0.0, out);
  RTL_DISPATCH(device, column_sums(device, x, out));
}

}  // namespace rtl::kernels
