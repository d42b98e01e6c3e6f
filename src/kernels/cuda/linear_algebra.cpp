// Linear algebra on CUDA: the vendor's factorisations, with what turns row-major matrices into their columns and back.
#include "kernels/backend/linear_algebra.hpp"
#include "kernels/backend/gemm.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/triangle.hpp"
#include "kernels/cuda/vendor/solver.hpp"

namespace rtl::kernels::cuda {
namespace {

/// to = from', both row-major.
void transpose(const Device& device, const ConstView& from, const View& to) {
  cuda::unary(device, UnaryOp::copy, from.permuted({1, 0}), to);
}

}  // namespace

void gram(const Device& device, GramOf of, double alpha, ConstView x, double beta, View g) {
  if (g.extent(0) == 1) return vendor::gram(device, of, alpha, x, beta, g);
  const bool columns = of == GramOf::columns;
  if (x.count() == 0) {
    return beta == 0 ? cuda::fill(device, 0.0, g) : cuda::scale_add(device, beta, g, 0.0, g);
  }
  vendor::batched_gemm(device, columns ? Transpose::yes : Transpose::no, columns ? Transpose::no : Transpose::yes,
                       alpha, x, x, beta, g);
}

void batched_gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a,
                  ConstView b, double beta, View c) {
  vendor::batched_gemm(device, transpose_a, transpose_b, alpha, a, b, beta, c);
}

std::int64_t symmetric_eigen(const Device& device, View a, View values) {
  return vendor::symmetric_eigen(device, a, values);
}

std::int64_t cholesky_factor(const Device& device, View a) { return vendor::cholesky_factor(device, a); }

void cholesky_solve(const Device& device, ConstView factor, View b) {
  vendor::triangular_solve(device, Transpose::no, factor, b);
  vendor::triangular_solve(device, Transpose::yes, factor, b);
}

void qr(const Device& device, View a, View r) {
  const std::int64_t m = a.extent(0), n = a.extent(1);
  Tensor columns({n, m}, a.dtype(), device), scalars({n}, a.dtype(), device);
  transpose(device, a, columns);
  vendor::qr_factor(device, columns, scalars);
  upper_triangle(device, columns, r);
  vendor::qr_form(device, columns, scalars);
  transpose(device, columns, a);
}

bool svd(const Device& device, View a, View u, View values, View vt) {
  const std::int64_t m = a.extent(0), n = a.extent(1);
  // Row-major A is the columns of A' = V diag(values) U'.
  if (m <= n) return vendor::svd(device, a, vt, values, u);
  Tensor columns({n, m}, a.dtype(), device), left({n, m}, a.dtype(), device), right({n, n}, a.dtype(), device);
  transpose(device, a, columns);
  if (!vendor::svd(device, columns, left, values, right)) return false;
  transpose(device, left, u);
  transpose(device, right, vt);
  return true;
}

}  // namespace rtl::kernels::cuda
