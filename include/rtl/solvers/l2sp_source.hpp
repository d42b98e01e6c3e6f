// A source model for linear transfer: one factorisation of the source sample, from which the centre of L2-SP ridge
// follows for any source penalty, and estimates of the penalty that is best for the source itself.
//
// Notation (docs/theory.md): y0 = X0 w0 + noise, w0_hat(tau0) the ridge solution with the per-sample penalty tau0.
// The penalty that is best for the source, tauS*, is in general not the one whose solution is the best centre for a
// target: that is theory/source_penalty.hpp and transfer/advisor.hpp.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "rtl/solvers/ridge_path.hpp"

namespace rtl::solvers {

/// A normal prior w0 ~ N(0, (signal / p) I) for each output, fitted to the source sample by marginal likelihood.
struct RidgePrior {
  /// tauS = noise / (n signal / p) per output, n being the rows of positive weight; shared by all outputs. At an end of
  /// the searched range (below) if the likelihood has no maximum inside: the largest penalty if there is no signal, the
  /// smallest if there is no noise.
  double penalty = 0;
  std::vector<double> noise;   ///< residual variance of each output [k], of a row of the mean positive weight
  std::vector<double> signal;  ///< E ||w0||^2 of each output [k]
  /// -2 log likelihood without its constant, smaller is better; comparable between priors of the same targets only.
  double deviance = 0;
  bool at_boundary = false;
};

/// Maximises the likelihood of R ~ N(0, noise_k (I + delta X X')), restricted to what an intercept leaves, over one
/// delta for all outputs and a noise variance each. From a path's eigenvalues, rotated targets and
/// sums of squares: O(r k) per trial delta, a few hundred trials. Outputs that do not vary are left out; if none
/// varies, signal and noise are 0 and the penalty is the largest searched. delta e_max is searched in [1e-8, 1e12]; the
/// penalty is never below path.smallest_penalty().
RidgePrior fit_ridge_prior(const RidgePath& path);

/// `count` penalties that cover what matters on a path: from 1e-7 to 1e3 times the largest eigenvalue of X'X / n, but
/// none below path.smallest_penalty(). Evenly spaced in the logarithm. Throws ValueError for count < 2.
std::vector<double> spanning_penalties(const RidgePath& path, std::int64_t count);

struct L2SPSourceOptions {
  bool intercept = true;
  ConstView sample_weights = {};
  RidgeMethod method = RidgeMethod::automatic;
  RidgeArithmetic arithmetic = RidgeArithmetic::f64;
};

/// Not for use by several threads at once: solutions are computed when they are first asked for, and kept.
class L2SPSource {
 public:
  /// x0 [n0, p], y0 [n0, k] or [n0]: they must live, unchanged, as long as the source. Factorises. Errors and cost as
  /// for RidgePath without penalties.
  L2SPSource(const Device& device, ConstView x, ConstView y, const L2SPSourceOptions& options = {});

  std::int64_t rows() const noexcept { return path_.rows(); }
  std::int64_t features() const noexcept { return path_.features(); }
  std::int64_t outputs() const noexcept { return path_.outputs(); }
  const Device& device() const noexcept { return path_.device(); }
  const RidgePath& path() const noexcept { return path_; }

  /// w0_hat(penalty) [p, k], f64. The reference stays good as long as the source. Throws as RidgePath::coefficients.
  const Tensor& coefficients(double penalty) const;
  /// [k], f64
  const Tensor& intercept(double penalty) const;

  /// The likelihood's estimate of tauS* and of the variances. Exact theory: the minimiser of the source risk is
  /// noise p / (n0 ||w0||^2) for every covariance if the direction of w0 is random.
  const RidgePrior& prior() const;
  /// The distribution-free alternative: the penalty with the least leave-one-out error among 41 spanning penalties.
  double leave_one_out_penalty() const;

 private:
  struct Solution {
    Tensor coefficients, intercept;
  };
  const Solution& solution(double penalty) const;

  RidgePath path_;
  mutable std::map<double, Solution> solutions_;
  mutable std::optional<RidgePrior> prior_;
  mutable std::optional<double> leave_one_out_penalty_;
};

}  // namespace rtl::solvers
