// Ridge coefficients that are right one by one, however differently the columns of X are scaled. The eigenvectors of a
// Gram matrix are right relative to its largest eigenvalue, and so are coefficients that are made of them: those of
// columns of another size than the largest lose their digits.
#pragma once

#include <optional>
#include <string_view>

#include "rtl/core/tensor.hpp"
#include "solvers/ridge_rows.hpp"
#include "solvers/ridge_spectrum.hpp"

namespace rtl::solvers {

struct ColumnSolution {
  Tensor coefficients;   ///< W [p, k], f64
  double condition = 1;  ///< a lower bound for the matrix that was factorised
};

/// Solves (X'X + total) W = X'Y + total C by Cholesky of D (X'X + total) D, D being powers of two that make its
/// diagonal about 1, and refines W by residuals of the rows themselves. Scaling the columns of X and C changes nothing
/// but the exponents of W where the penalty does not matter. `gram` is [X Y]'[X Y] [p + k, p + k], lower triangle,
/// where that is known. n p^2 (of `gram`, if it is not) + p^3 / 3 + 12 n p k FLOP. Nothing where D (..) D is singular
/// to rounding; throws ValueError, naming `call`, for entries that are not finite.
std::optional<ColumnSolution> solve_by_columns(std::string_view call, const RidgeRows& rows, double total,
                                               const Tensor* gram = nullptr);

/// The same from sums: `gram` [p + k, p + k], lower triangle, is [X Y]'[X Y]; residuals are the sums', so that the
/// condition of X counts squared. `centre` f64 [p, k]; not given: 0.
std::optional<ColumnSolution> solve_by_columns(const Device& device, const Tensor& gram, std::int64_t outputs,
                                               double total, ConstView centre);

/// Solves X W + total A = Y, W = C + X'A for W where p >= n, with a spectrum in the complement form. Refines by the
/// spectrum's own basis, and where that does not converge, because columns of very different sizes hide each other in
/// XX', by QR of [X sqrt(total)]' in that basis, rows sorted by size (Cox and Higham, Stability of Householder QR
/// factorization for weighted least squares problems, 1998). 6 n p k FLOP a step; with QR 6 n^2 p more. Nothing where
/// both fail.
std::optional<Tensor> solve_by_rows(const RidgeRows& rows, const Spectrum& spectrum, double total);

/// Whether coefficients from the spectrum are as good as any: all eigenvalues with the penalty, and all columns, are
/// of about one size.
bool is_well_scaled(const Spectrum& spectrum, double total);
/// The same of eigenvalues, and of sums of squares of columns where the basis is one of columns (1 otherwise).
bool is_well_scaled(double least_eigenvalue, double largest_eigenvalue, double column_spread, double total);

}  // namespace rtl::solvers
