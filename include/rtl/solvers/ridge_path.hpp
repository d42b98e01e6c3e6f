// Ridge regression towards a centre (L2-SP), for any number of penalties and outputs from one factorisation, with exact
// leave-one-out errors.
//
// Everywhere in rtl/solvers a penalty is *per sample*: the coefficients W [p, k] and the intercept b [k] minimise
//
//   (1/n) ||Y - X W - 1 b'||^2 + penalty ||W - C||^2,
//
// C being the centre (0 unless given) and b free of penalty (0 without an intercept). With sample weights w_i >= 0 the
// first term is sum_i w_i ||y_i - W' x_i - b||^2 / sum_i w_i: a weight counts how often a row is there, and only ratios
// of weights matter. scikit-learn's alpha penalises the sum: penalty = alpha / n, see penalty_from_sklearn.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

/// The per-sample penalty that is scikit-learn's `alpha` on n rows (with sample weights: on rows of total weight n).
double penalty_from_sklearn(double alpha, double n);
/// The opposite: penalty * n.
double penalty_to_sklearn(double penalty, double n);

/// `count` penalties from `low` to `high`, evenly spaced in their logarithm; both ends are met exactly. Throws
/// ValueError unless 0 < low <= high are finite and count >= 1 (low == high if count is 1).
std::vector<double> logarithmic_penalties(double low, double high, std::int64_t count);

enum class RidgeMethod : std::uint8_t {
  automatic,  ///< primal if p <= n, else dual; svd where the Gram matrix would lose the smallest penalty
  primal,     ///< eigenvectors of X'X [p, p]
  dual,       ///< eigenvectors of XX' [n, n]
  svd,        ///< singular vectors of X itself (through its QR factors if n > p): the condition is not squared
};

enum class RidgeArithmetic : std::uint8_t {
  f64,
  /// Products of size n p^2 (Gram, rotation, predictions) in f32, added up in f64 in blocks of rows; eigenvectors and
  /// statistics in f64. Primal and dual only. About twice as fast; docs/solvers.md states the error.
  f32,
};

struct RidgeOptions {
  bool intercept = true;
  ConstView sample_weights = {};  ///< [n], f32 or f64, none negative, not all 0; absent: all 1
  ConstView centre = {};          ///< C [p, k], f32 or f64; absent: 0
  RidgeMethod method = RidgeMethod::automatic;
  RidgeArithmetic arithmetic = RidgeArithmetic::f64;
  /// Whether leave-one-out errors are computed (the second and larger part of the work); if not, the best penalty is
  /// that of the smallest GCV.
  bool leave_one_out = true;
};

/// What is known of each of L penalties.
struct RidgeScores {
  std::vector<double> penalties;
  /// Mean squared leave-one-out error over rows (weighted) and outputs. The fit without row i keeps the total penalty
  /// n * penalty and n includes row i; so this is exact, by the identity e_i / (1 - h_i). Infinite
  /// where a left-out fit is not determined (1 - h_i = 0 to rounding). Empty without RidgeOptions::leave_one_out.
  std::vector<double> leave_one_out;
  std::vector<double> leave_one_out_per_output;  ///< [L, k]; their mean over outputs is leave_one_out
  /// Generalised cross-validation: mean squared residual / (1 - degrees_of_freedom / n)^2, with n the number of rows of
  /// positive weight. Infinite where the degrees of freedom reach n.
  std::vector<double> gcv;
  std::vector<double> residual;            ///< mean squared residual on the rows themselves
  std::vector<double> degrees_of_freedom;  ///< trace of the hat matrix, the intercept's 1 included
  /// Position of the smallest leave_one_out (of gcv, if that was not asked for); the first of equals.
  std::size_t best = 0;

  double best_penalty() const;  ///< Throws ValueError if there are no penalties.
};

/// The model of one penalty.
struct RidgeFit {
  Tensor coefficients;  ///< W [p, k], f64
  Tensor intercept;     ///< b [k], f64
  /// Of ridge(): a lower bound of the condition number of the matrix that was factorised (its diagonal scaled to about
  /// 1), from the factor's diagonal; of RidgePath::fit: RidgePath::condition.
  double condition = 1;
};

/// A factorisation of one regression problem and what follows from it.
///
/// Arguments are not copied: `x`, `y`, the weights and the centre must live, unchanged, as long as the path is used.
/// Coefficients, predictions and residuals are f64, whatever the inputs are. All on one device; deterministic for a
/// fixed number of threads.
///
/// Cost with r = min(n, p), k outputs, L penalties: n p^2 + 9 p^3 FLOP for the primal factorisation (Gram matrix and
/// eigenvectors), n^2 p + 9 n^3 for the dual one; leave-one-out then takes 2 n p^2 once in the primal form (the
/// rotation X V; nothing in the dual form) and 2 n r k s for all penalties together, s <= L being the numerical rank of
/// the filters 1 / (e_j + n penalty_l), about 10 to 40; no coefficient matrix per penalty is formed. Memory: the
/// smaller Gram matrix twice, a block of rows, and the rotated rows where these are no more than 128 MiB: else the
/// residuals of a penalty rotate them again.
class RidgePath {
 public:
  /// x [n, p] and y [n, k] or [n]; f32 or f64, rows contiguous; on `device`. Factorises, and scores the penalties, of
  /// which there may be none: then `scores()` is empty.
  ///
  /// Throws ShapeError, DTypeError, DeviceError; ValueError for no rows or columns, NaN or infinite entries (it names
  /// the first), a penalty that is negative, infinite or NaN, a penalty of 0 where X (centred, if there is an
  /// intercept) has linearly dependent columns (also: wherever p >= n with an intercept, or p > n), a single row with
  /// an intercept if leave-one-out is asked for, and f32 arithmetic where it cannot resolve the smallest penalty.
  /// Columns that are constant, repeated rows, p much larger than n, and n = 1 are fine with positive penalties.
  RidgePath(const Device& device, ConstView x, ConstView y, std::span<const double> penalties,
            const RidgeOptions& options = {});
  RidgePath(RidgePath&&) noexcept;
  RidgePath& operator=(RidgePath&&) noexcept;
  ~RidgePath();

  std::int64_t rows() const noexcept;
  std::int64_t counted_rows() const noexcept;  ///< rows of positive weight
  std::int64_t features() const noexcept;
  std::int64_t outputs() const noexcept;
  bool has_intercept() const noexcept;
  const Device& device() const noexcept;
  /// What `automatic` became.
  RidgeMethod method() const noexcept;

  /// Of the penalties given to the constructor.
  const RidgeScores& scores() const noexcept;
  double best_penalty() const { return scores().best_penalty(); }
  /// Scores of other penalties, from the same factorisation. Reads x and y again. Throws ValueError for a penalty that
  /// the factorisation does not resolve (smaller than smallest_penalty()).
  RidgeScores evaluate(std::span<const double> penalties) const;

  /// W [p, k] of a penalty. This and all below throw ValueError as `evaluate` does.
  ///
  /// In f64 every single coefficient is right, however differently the columns of x are scaled: to a few roundings
  /// times the condition of X with its columns scaled to one size (the penalty's share included), for columns that lie
  /// 16 and more orders of magnitude apart. 2 p r k FLOP where eigenvalues lie within a factor of 1000 and columns
  /// within one of 100; elsewhere the penalty is solved for again: p^3 / 3 + 12 n p k FLOP (p < n: Cholesky of
  /// the equilibrated normal equations, refined by residuals of the rows) or 6 n p k a step and, if columns differ
  /// much, 6 n^2 p (p >= n: docs/solvers.md). If that fails, because columns depend on each other to rounding even when
  /// they are scaled, the eigenvectors' coefficients stand. With f32 arithmetic they always do.
  Tensor coefficients(double penalty) const;
  /// b [k]; zeros without an intercept. At the cost of `coefficients`.
  Tensor intercept(double penalty) const;
  /// Both at the cost of one.
  RidgeFit fit(double penalty) const;
  /// X W + b [m, k] for x [m, p], f32 or f64.
  Tensor predict(ConstView x, double penalty) const;
  /// y_i minus the prediction for row i by the fit without row i, [n, k]; not weighted. Row i's leave-one-out
  /// prediction is y_i minus this. Infinite where that fit is not determined.
  Tensor leave_one_out_residuals(double penalty) const;
  /// y minus the predictions of the fit to all rows, [n, k]; not weighted.
  Tensor residuals(double penalty) const;
  /// Diagonal of the hat matrix [n], the intercept's share included: how much row i determines its own prediction.
  Tensor leverages(double penalty) const;

  /// Eigenvalues e_j of X'X (equally XX'), ascending, r = min(n, p) of them; X with its column means taken off if there
  /// is an intercept, rows times sqrt(w_i) with weights scaled to sum to n. None is negative.
  const std::vector<double>& eigenvalues() const noexcept;
  /// c = U'R [r, k] row-major, U being the left singular vectors of that X and R the targets minus X C, treated alike.
  /// With sum_squares() this is all that the likelihood of a ridge prior needs (fit_ridge_prior). Rows of
  /// eigenvalues that are 0 to rounding are 0.
  const std::vector<double>& rotated_targets() const noexcept;
  /// ||R||^2 of each output [k]; 0, as its rotated_targets, for an output that an intercept explains to rounding.
  const std::vector<double>& sum_squares() const noexcept;
  /// (e_max + n penalty) / (e_min + n penalty): by how much relative errors of the normal equations may grow. e_min is
  /// 0 if p > r.
  double condition(double penalty) const;
  /// Below this, penalties are refused: the factorisation's rounding errors would be of the size of the penalty. 0 for
  /// full-rank problems that are well enough conditioned.
  double smallest_penalty() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Ridge regression for one penalty: n p^2 + p^3 / 3 FLOP, or n^2 p + n^3 / 3 if n < p. Arguments and errors as for
/// RidgePath (method: svd, and the dual form where eigenvalues differ much, go through RidgePath; leave_one_out is not
/// looked at); ValueError also if the penalised Gram matrix, its columns scaled to one size, is singular to rounding:
/// raise the penalty or use RidgePath with RidgeMethod::svd. Coefficients are right one by one, as RidgePath's.
RidgeFit ridge(const Device& device, ConstView x, ConstView y, double penalty, const RidgeOptions& options = {});

}  // namespace rtl::solvers
