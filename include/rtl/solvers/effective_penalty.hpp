// The effective penalty kappa: what a ridge penalty amounts to once the noise of the sample covariance is averaged out.
// Everything that the library says about expected risks of ridge regression is a function of it.
#pragma once

#include <span>

namespace rtl::solvers {

/// Penalties are per sample: (1/n) ||y - X w||^2 + penalty ||w - centre||^2. A penalty on the sum of squares (alpha of
/// scikit-learn) is `n` times as large.
///
/// The largest root kappa >= penalty of
///
///     kappa = penalty + (kappa / n) sum_i s_i / (s_i + kappa),
///
/// s_i the eigenvalues of the input covariance (in any order), n the number of samples. Eigenvalues below 1e-12 of the
/// largest count as zero. With penalty 0 the root is positive if more than n eigenvalues
/// are, and 0 otherwise. Newton's method from above (the equation is convex): about 10 passes over the eigenvalues,
/// exact to a few units of the last place.
///
/// `samples` need not be whole. Throws ValueError for no eigenvalues, a negative or not finite eigenvalue, penalty or
/// number of samples, and for no samples.
double solve_kappa(std::span<const double> eigenvalues, double penalty, double samples);

/// kappa with the traces that the risk formulas need.
struct EffectivePenalty {
  double kappa = 0;
  double degrees_of_freedom = 0;          ///< df1 = sum s / (s + kappa)
  double squared_degrees_of_freedom = 0;  ///< df2 = sum (s / (s + kappa))^2
  double variance_share = 0;              ///< D = df2 / n; risks carry the factor 1 / (1 - D), infinite at D = 1
  double negligible = 0;                  ///< eigenvalues up to this counted as zero
};
/// As solve_kappa, and throws as it does. s / (s + 0) is 1 for s > 0 and 0 for s = 0.
EffectivePenalty effective_penalty(std::span<const double> eigenvalues, double penalty, double samples);

/// Whether this eigenvalue of the spectrum counted as zero.
inline bool is_negligible(double eigenvalue, const EffectivePenalty& level) { return eigenvalue <= level.negligible; }

}  // namespace rtl::solvers
