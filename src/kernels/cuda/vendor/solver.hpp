// Factorisations and symmetric products by cuSOLVER and cuBLAS (cusolver.cpp); in an EMULATED build by LAPACK on the
// host (tests/emulation/solver.cpp). These libraries think in columns: "columns" below is a row-major view [c, r] that
// holds an r x c matrix column after column. One dtype, f32 or f64, all contiguous unless said otherwise. What is
// factorised, and what comes of it, begins at multiples of 16 bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "rtl/kernels/linear_algebra.hpp"

namespace rtl::kernels::cuda::vendor {

/// One symmetric product, lower triangle; x [1, n, p] with contiguous rows.
void gram(const Device& device, GramOf of, double alpha, const ConstView& x, double beta, const View& g);
/// Problems of order n that one call of symmetric_eigen may have: the library refuses tens of thousands, or more
/// elements than 31 bits count. A multiple of four unless it is 1, so that the next call's operands are aligned, too.
inline std::int64_t most_eigen_problems(std::int64_t n) {
  constexpr std::int64_t most = 16384;
  return std::max<std::int64_t>(1, std::min(most, std::numeric_limits<std::int32_t>::max() / (n * n)) / 4 * 4);
}
/// As backend symmetric_eigen.
std::int64_t symmetric_eigen(const Device& device, const View& a, const View& values);
/// As backend cholesky_factor.
std::int64_t cholesky_factor(const Device& device, const View& a);
/// b = L^-1 b, or (L')^-1 b with Transpose::yes; L in the lower triangle of the row-major `factor` [n, n], b row-major
/// [n, m].
void triangular_solve(const Device& device, Transpose transpose, const ConstView& factor, const View& b);
/// Householder vectors and R (LAPACK's geqrf) in place of `columns` [c, r] with r >= c; `scalars` [c].
void qr_factor(const Device& device, const View& columns, const View& scalars);
/// The first c columns of Q in place of what qr_factor left.
void qr_form(const Device& device, const View& columns, const ConstView& scalars);
/// columns [c, r] with r >= c, overwritten: U in `left` [c, r], values [c] descending, V' in `right` [c, c] (its column
/// j in row j). False if the iteration did not converge.
bool svd(const Device& device, const View& columns, const View& left, const View& values, const View& right);

}  // namespace rtl::kernels::cuda::vendor
