// Linear algebra on CUDA: the vendor's factorisations, with what turns row-major matrices into their columns and back.
#include "kernels/backend/linear_algebra.hpp"

#include <algorithm>
#include <cstdint>

#include "kernels/backend/gemm.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/triangle.hpp"
#include "kernels/cuda/vendor/blas.hpp"
#include "kernels/cuda/vendor/solver.hpp"

namespace rtl::kernels::cuda {
namespace {

/// to = from', both row-major.
void transpose(const Device& device, const ConstView& from, const View& to) {
  cuda::unary(device, UnaryOp::copy, from.permuted({1, 0}), to);
}

/// A view's own memory where it begins as an allocation does, else memory that does: a factorisation is free to move
/// several elements at once. What lies in the latter is copied back by `finish`.
class Aligned {
 public:
  Aligned(const Device& device, const View& view) : view_(view) {
    constexpr std::uintptr_t wanted = 16;
    if (reinterpret_cast<std::uintptr_t>(view.data()) % wanted == 0) return;
    copy_ = Tensor(view.shape(), view.dtype(), device);
    copy_bytes(view, copy_);
  }
  View view() { return copy_.defined() ? copy_.view() : view_; }
  void finish() {
    if (copy_.defined()) copy_bytes(copy_, view_);
  }

 private:
  View view_;
  Tensor copy_;
};

}  // namespace

void gram(const Device& device, GramOf of, double alpha, ConstView x, double beta, View g) {
  if (g.extent(0) == 1) return vendor::gram(device, of, alpha, x, beta, g);
  const bool columns = of == GramOf::columns;
  if (x.count() == 0) {
    return beta == 0 ? cuda::fill(device, 0.0, g) : cuda::scale_add(device, beta, g, 0.0, g);
  }
  vendor::gemm(device, columns ? Transpose::yes : Transpose::no, columns ? Transpose::no : Transpose::yes, alpha, x, x,
               beta, g, Epilogue::none, {});
}

std::int64_t symmetric_eigen(const Device& device, View a, View values) {
  Aligned vectors(device, a), found(device, values);
  const std::int64_t batch = a.extent(0), most = vendor::most_eigen_problems(a.extent(2));
  std::int64_t failed = 0;
  for (std::int64_t begin = 0; begin < batch; begin += most) {
    const std::int64_t end = std::min(batch, begin + most);
    failed += vendor::symmetric_eigen(device, vectors.view().slice(0, begin, end), found.view().slice(0, begin, end));
  }
  vectors.finish();
  found.finish();
  return failed;
}

std::int64_t cholesky_factor(const Device& device, View a) {
  Aligned factor(device, a);
  const std::int64_t minor = vendor::cholesky_factor(device, factor.view());
  factor.finish();
  return minor;
}

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
  Aligned found(device, values);
  if (m <= n) {
    Aligned matrix(device, a), left(device, vt), right(device, u);
    const bool converged = vendor::svd(device, matrix.view(), left.view(), found.view(), right.view());
    for (Aligned* result : {&left, &right, &found}) result->finish();
    return converged;
  }
  Tensor columns({n, m}, a.dtype(), device), left({n, m}, a.dtype(), device), right({n, n}, a.dtype(), device);
  transpose(device, a, columns);
  if (!vendor::svd(device, columns, left, found.view(), right)) return false;
  found.finish();
  transpose(device, left, u);
  transpose(device, right, vt);
  return true;
}

}  // namespace rtl::kernels::cuda
