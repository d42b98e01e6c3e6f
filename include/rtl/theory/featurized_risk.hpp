// Expected test error of ridge regression on features, for any featurization, with its fine-grained decomposition.
//
// Inputs x = S^(1/2) z; task y = x'w + noise with E[w w'] = Omega; features B'x; theta minimises
// (1/n) ||y - X B theta||^2 + penalty ||theta||^2 over n samples (penalty 0: the least-norm solution). The
// featurization enters only through K = S^(1/2) B B' S^(1/2), the tasks through T = S^(1/2) Omega S^(1/2); a single
// task is T = u u', u = S^(1/2) w.
#pragma once

#include <span>
#include <vector>

#include "rtl/theory/covariance.hpp"

namespace rtl::theory {

/// With kappa of (eigenvalues of K, penalty, n), H = K (K + kappa)^-1 and D = tr H^2 / n. The expectation is over
/// samples and noise; a noise-only variance does not exist (it is zero for symmetric inputs).
struct FeaturizedRisk {
  double kappa = 0;
  double degrees_of_freedom = 0;    ///< tr H, at most n
  double variance_share = 0;        ///< D
  double bias = 0;                  ///< tr[T (I - H)^2]: what is not learnt on average, and what is not representable
  double input_variance = 0;        ///< V_X = bias D / (1 - D): of the draw of the inputs
  double interaction_variance = 0;  ///< V_Xe = noise D / (1 - D): of inputs and noise together
  double risk = 0;                  ///< R = (bias + noise) / (1 - D) = bias + V_X + V_Xe + noise
};

/// By spectrum: `features` are the eigenvalues k_i of K, `energies` u_i' T u_i along its eigenvectors u_i. Parts whose
/// factor 1 / (1 - D) has no end (least norm at n = rank K) are infinite.
/// Throws ShapeError if the lengths differ; ValueError for negative or not finite values and for no samples. O(p).
FeaturizedRisk featurized_risk(std::span<const double> features, std::span<const double> energies, double noise,
                               double penalty, double samples);

/// The same for matrices that need not commute. O(p^3) if one has eigenvectors, otherwise O(p).
FeaturizedRisk featurized_risk(const Covariance& features, const Covariance& tasks, double noise, double penalty,
                               double samples);

/// u_i' T u_i along the eigenvectors of `features`.
std::vector<double> task_energies(const Covariance& features, const Covariance& tasks);

}  // namespace rtl::theory
