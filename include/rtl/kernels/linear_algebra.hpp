// Dense linear algebra: OpenBLAS and LAPACK on the host, cuBLAS and cuSOLVER on CUDA. Matrices are row-major and
// contiguous, f32 or f64, all of one dtype. Where a batch is allowed, operands have a leading extent and the matrices
// of the batch are independent. Symmetric matrices are read and written in their lower triangle only.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl::kernels {

enum class GramOf : std::uint8_t {
  columns,  ///< X'X [p, p]
  rows,     ///< XX' [n, n]
};

/// The lower triangle of G = alpha X'X + beta G (or XX'), x [n, p] with contiguous rows (they may be strided), G [p, p]
/// or [n, n]; or a batch: x [b, n, p] contiguous, G [b, ..]. What is above the diagonal is not touched; with beta == 0,
/// G is not read. n p^2 FLOP (or n^2 p). Throws ShapeError, DTypeError, DeviceError.
void gram(const Device& device, GramOf of, double alpha, ConstView x, double beta, View g);

/// Eigenvalues of the symmetric `a` [n, n] (or a batch [b, n, n]) in ascending order into `values` [n] ([b, n]), and in
/// place of `a` its orthonormal eigenvectors: row j belongs to values[j]. About 9 n^3 FLOP (divide and conquer). Waits
/// for the device. Throws Error if the iteration does not converge (NaN or infinite elements).
void symmetric_eigen(const Device& device, View a, View values);

/// The same for one matrix of an order up to 1024, without waiting for the device: for recorded computations. `work`
/// [n, n] is overwritten. Where symmetric_eigen throws, results are NaN. On CUDA by cyclic Jacobi rotations in one
/// block, about 60 n^3 FLOP: for small matrices. Throws ValueError for larger ones.
void queued_symmetric_eigen(const Device& device, View a, View values, View work);

/// The lower triangle of L with A = LL' in place of that of the symmetric positive definite `a` [n, n]. n^3 / 3 FLOP.
/// Waits for the device. Throws ValueError if a leading minor is not positive (it says which); `a` is then undefined.
void cholesky_factor(const Device& device, View a);

/// B = (LL')^-1 B for `factor` = L from cholesky_factor, b [n, m]. 2 n^2 m FLOP.
void cholesky_solve(const Device& device, ConstView factor, View b);

/// A = Q R for a [m, n] with m >= n: `a` becomes Q [m, n] with orthonormal columns, and r [n, n] the upper triangle R,
/// zeros below. Householder reflections; 4 m n^2 FLOP.
void qr(const Device& device, View a, View r);

/// A = U diag(values) V' for a [m, n], q = min(m, n): u [m, q], values [q] in descending order, vt [q, n]. `a` is
/// overwritten. Waits for the device. Throws Error if the iteration does not converge (NaN or infinite elements).
void svd(const Device& device, View a, View u, View values, View vt);

}  // namespace rtl::kernels
