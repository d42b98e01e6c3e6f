// L2-SP transfer between ridge regressions with isotropic inputs, in closed form.
//
// A source model is fitted by ridge on n0 samples of y = x'w0 + noise with penalty tau0, then a target model by ridge
// on n1 samples of y = x'w1 + noise with penalty tau1 and the source model as its centre (L2-SP). Inputs have
// covariance I in p dimensions. Penalties are per sample: (1/n) ||y - X w||^2 + tau ||w - centre||^2.
//
// Everything is in units of ||w0||^2 = 1: `noise` is the noise variance divided by ||w0||^2, and errors come out
// divided by it. `alignment` is rho = <w0, w1> / ||w0||^2, so that w1 = rho w0 + a part orthogonal to w0.
// The formulas are exact as p, n grow with p / n fixed. All functions throw ValueError for a ratio or a number of
// samples that is not positive, a negative noise or penalty, and for values that are not finite.
#pragma once

namespace rtl::theory {

/// What ridge regression learns on average.
struct IsotropicRidge {
  double kappa = 0;    ///< the effective penalty
  double u = 1;        ///< 1 + kappa = [(1 + g + tau) + sqrt((1 + g + tau)^2 - 4 g)] / 2
  double overlap = 1;  ///< m = <E w_hat, w0> = 1 / u
  double norm = 1;     ///< q = E ||w_hat||^2 = risk + 2 m - 1
  double risk = 0;     ///< E ||w_hat - w0||^2 = (kappa^2 + g noise) / (u^2 - g)
};
/// `ratio` is g = p / n. At g = 1 without penalty, norm and risk are infinite if there is noise.
IsotropicRidge isotropic_ridge(double ratio, double noise, double penalty);

/// The penalty with this u: (u - 1)(u - g) / u. Throws ValueError for u < max(1, g).
double isotropic_penalty(double ratio, double u);

/// How the target's fit passes on the centre's error and its own noise: risk = bias ||centre - w1||^2 + noise s1.
struct IsotropicTarget {
  double bias = 0;   ///< a1 = (kappa1 / u1)^2 / (1 - g1 / u1^2)
  double noise = 0;  ///< v1 = (g1 / u1^2) / (1 - g1 / u1^2)
};
/// `ratio` is g1 = p / n1.
IsotropicTarget isotropic_target(double ratio, double penalty);

/// J = E ||w_hat - w1||^2 - ||w1||^2 = q - 2 rho m. Negative: the source model is a better centre than zero, whatever
/// the target's samples, noise and penalty; transfer then gains -a1 J over fitting from scratch.
double centre_disadvantage(const IsotropicRidge& source, double alignment);

/// The least alignment at which this source helps: rho_crit = q / (2 m). At the source's own best penalty it is 1/2;
/// it falls to 0 as the source's penalty grows.
double critical_alignment(const IsotropicRidge& source);

struct IsotropicTransfer {
  double transfer = 0;  ///< excess risk with the source model as centre
  double scratch = 0;   ///< excess risk with centre zero
  double gain = 0;      ///< scratch - transfer
};
/// `target_norm` is ||w1||^2, `target_noise` the target's noise variance, both divided by ||w0||^2.
/// Throws ValueError if target_norm < alignment^2, which no w1 has.
IsotropicTransfer isotropic_transfer(const IsotropicRidge& source, const IsotropicTarget& target, double alignment,
                                     double target_norm, double target_noise);

}  // namespace rtl::theory
