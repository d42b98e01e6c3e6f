// Ridge regression in a learnt metric, insured by ordinary ridge: how much of the metric to believe is decided by the
// downstream task's own leave-one-out errors.
#pragma once

#include <span>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

struct BlendOptions {
  /// Shares a of the identity in M_a = (1 - a) p M / tr M + a I. 1 is ordinary ridge regression, with the usual meaning
  /// of the penalty.
  std::vector<double> identity_shares = {0, .03, .1, .2, .4, .6, .8, 1};
  /// Input covariance [p, p], f64: each blend is also tried with half of its learnt part replaced by
  /// p Sigma^-1 / tr Sigma^-1, and pure whitening is a candidate. Absent: not tried.
  ConstView whitening = {};
  double eigenvalue_floor = 1e-3;  ///< of Sigma, as in FeaturizationOptions
};

/// One metric that was tried: M = (1 - identity - whitening) M_learnt + whitening Sigma^-1 + identity I, all of trace
/// p.
struct BlendCandidate {
  double identity = 0;
  double whitening = 0;
  double penalty = 0;        ///< its best one
  double leave_one_out = 0;  ///< mean squared leave-one-out error with it
};

struct BlendedFit {
  Tensor coefficients;  ///< W [p, k], f64
  Tensor intercept;     ///< b [k]; zeros without an intercept
  BlendCandidate chosen;
  std::vector<BlendCandidate> candidates;
};

struct BlendedFitOptions {
  bool intercept = false;
  ConstView centre =
      {};  ///< [p, k], f32 or f64: the tasks' mean; the metric then acts on the distance to it. Absent: 0
};

/// Holds one factor [p, p] per candidate, so that many downstream tasks share their 9 p^3 FLOP each.
class BlendedRidge {
 public:
  /// `metric` M [p, p], f64, symmetric positive semidefinite and not 0: an Omega (of TaskCovariance, or known). Copied.
  /// Throws ShapeError, DTypeError, ValueError for such a matrix, no shares, or a share outside [0, 1].
  explicit BlendedRidge(ConstView metric, const BlendOptions& options = {});

  std::int64_t inputs() const noexcept { return inputs_; }
  std::int64_t candidates() const noexcept { return static_cast<std::int64_t>(factors_.size()); }

  /// x [n, p], y [n, k] or [n], on `device`; every candidate with every penalty, the least leave-one-out error wins
  /// (the larger identity share of equals). One RidgePath a candidate: n^2 p + 9 n^3 FLOP if n < p. Errors as
  /// RidgePath.
  BlendedFit fit(const Device& device, ConstView x, ConstView y, std::span<const double> penalties,
                 const BlendedFitOptions& options = {}) const;

 private:
  struct Factor {
    BlendCandidate shares;
    Tensor root;  // M^(1/2), symmetric [p, p]
  };
  std::int64_t inputs_ = 0;
  std::vector<Factor> factors_;
};

}  // namespace rtl::solvers
