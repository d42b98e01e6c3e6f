// Hundreds of small ridge problems at once: heads of many tasks, each with rows of its own. (Many outputs on the same
// rows are one problem: see RidgePath.) Penalties are per sample, as in ridge_path.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

struct BatchedRidgeOptions {
  bool intercept = true;
};

/// What is known of B problems with L penalties each; the best penalty of each is that of its least leave-one-out
/// error.
struct BatchedRidge {
  std::vector<double> penalties;           ///< [L]
  std::vector<double> leave_one_out;       ///< [B, L], as RidgeScores::leave_one_out
  std::vector<double> gcv;                 ///< [B, L]
  std::vector<double> degrees_of_freedom;  ///< [B, L]
  std::vector<std::size_t> best;           ///< [B]
  Tensor coefficients;                     ///< f64 [B, p, k], of the best penalty
  Tensor intercept;                        ///< f64 [B, k]

  double best_penalty(std::size_t problem) const { return penalties[best[problem]]; }
};

/// x [B, n, p] and y [B, n, k], f32 or f64, contiguous. The same results as a RidgePath for each, up to rounding. All
/// problems pass through each step together: Gram matrices (of columns if p <= n, else of rows), eigenvectors, and one
/// launch of the path kernel; some hundred megabytes of them at a time on a GPU, on the host some problems for each
/// thread. B (min(n, p) n p + 9 min(n, p)^3) FLOP and a little more. Every single coefficient is right, as RidgePath's:
/// problems whose columns or eigenvalues differ much are solved again one by one, at the cost of `ridge`.
///
/// Throws ShapeError, DTypeError, DeviceError; ValueError for no rows, columns or penalties, entries that are not
/// finite (it names the problem), a penalty that is negative or not finite, and one that a problem does not resolve (0
/// with dependent columns).
BatchedRidge batched_ridge(const Device& device, ConstView x, ConstView y, std::span<const double> penalties,
                           const BatchedRidgeOptions& options = {});

}  // namespace rtl::solvers
