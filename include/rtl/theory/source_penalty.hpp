// Which penalty a source model should be fitted with, for itself and for transfer: they differ unless the tasks agree.
// Notation, units and errors as in isotropic.hpp; the spectrum rule holds for every covariance.
#pragma once

#include <span>

namespace rtl::theory {

/// tauS*, the penalty with the least source risk: g noise (exact at any sample size, for every covariance, if the
/// direction of w0 is random).
double source_optimal_penalty(double ratio, double noise);

/// tau0*, the source penalty whose model is the best centre for the target.
struct TransferOptimum {
  double penalty = 0;       ///< tau0*; infinite for rho <= 0: do not transfer
  double u = 1;             ///< 1 + kappa there; infinite with the penalty
  double disadvantage = 0;  ///< J there (isotropic.hpp); never above 0
};
/// The least J over tau0 >= 0: the root u > max(1, g) with the least J of
///
///     rho u^4 - (1 + g + g noise) u^3 + (g + 2 g (1 - rho)) u^2 - (1 - rho) g^2 = 0,
///
/// equivalently tau0 = tauS* + (1 - rho)(u^2 - g)^2 / u^3. Hence the reversal sign(tau0* - tauS*) = sign(1 - rho).
/// Boundary cases: infinite for rho <= 0; zero where J rises from tau0 = 0 on, that is for
/// rho >= 1 + tauS* / (1 - g)^2 (g < 1) or rho >= 1 + tauS* g / (g - 1)^2 (g > 1).
TransferOptimum transfer_optimal_penalty(double ratio, double noise, double alignment);

/// The best centre of the form alpha w_hat(tau): alpha = rho, tau = tauS*, and never worse than the best unscaled one.
struct ScaledCentre {
  double scale = 0;
  double penalty = 0;
  double disadvantage = 0;  ///< J = -rho^2 m(tauS*)
};
ScaledCentre scaled_centre_optimum(double ratio, double noise, double alignment);

/// J at finite sample size, averaged over the direction of w0 given the source inputs X0, up to a positive factor:
///
///     sum_i omega_i [ (s_i^2 + tauS s_i) / (s_i + tau)^2 - 2 rho s_i / (s_i + tau) ],
///
/// (s_i, v_i) the eigenpairs of X0'X0 / n0, omega_i = v_i' W v_i for the weight W in which the centre's error is
/// measured (I, or X1'X1 / n1), tauS = s0 p / (n0 E ||w0||^2). No asymptotics. `spectrum` and `weights` of equal
/// length; throws ShapeError otherwise, ValueError for negative or not finite values.
double finite_sample_disadvantage(std::span<const double> spectrum, std::span<const double> weights,
                                  double source_penalty, double alignment, double penalty);

/// The penalty with the least finite_sample_disadvantage: a root of
///
///     rho tau - tauS - (1 - rho) [sum omega s^2 / (s + tau)^3] / [sum omega s / (s + tau)^3] = 0,
///
/// which lies above tauS / rho for rho < 1 and below for rho > 1; tauS for rho = 1; infinite for rho <= 0; 0 if the
/// disadvantage rises from 0 on. Several hundred passes over the spectrum.
double finite_sample_transfer_penalty(std::span<const double> spectrum, std::span<const double> weights,
                                      double source_penalty, double alignment);

}  // namespace rtl::theory
