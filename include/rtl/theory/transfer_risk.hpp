// Expected risks of ridge regression and of L2-SP transfer for any input covariances of source and target, commuting or
// not (deterministic equivalents, exact as samples and dimensions grow together).
//
// Source: n0 samples of y = x'w0 + noise, x of covariance S0, ridge with penalty tau0. Target: n1 samples of
// y = x'w1 + noise, x of covariance S1, ridge with penalty tau1 and the source model as its centre. Penalties are per
// sample; risks are excess risks (w_hat - w)' S (w_hat - w), add the noise variance for the prediction error. One
// output; risks of several outputs add up.
#pragma once

#include <span>
#include <vector>

#include "rtl/theory/covariance.hpp"

namespace rtl::theory {

/// How one ridge regression is fitted. Functions throw ValueError unless samples > 0, noise >= 0, penalty >= 0, all
/// finite.
struct RidgeSetting {
  double samples = 0;
  double noise = 0;    ///< variance
  double penalty = 0;  ///< per sample
};

/// Expected excess risk of ridge regression centred at zero, with P = kappa (S + kappa)^-1 and D of kappa.hpp:
///
///     (w' P S P w + noise) / (1 - D) - noise.
///
/// Infinite at the interpolation threshold (D = 1). Throws ShapeError if `w` does not fit. O(p), with eigenvectors
/// O(p^2).
double ridge_risk(const Covariance& inputs, std::span<const double> w, const RidgeSetting& fit);

/// E (w0_hat - w1)' W (w0_hat - w1) for any weight W:
///
///     ||(I - P) w0 - w1||_W^2 + mu_W (w0' P S0 P w0 + noise),   mu_W = (1/n) tr[W S0 (S0 + kappa)^-2] / (1 - D).
///
/// Throws ShapeError if the sizes differ. O(p) if both are diagonal, otherwise one product of p x p matrices.
double centre_error(const Covariance& inputs, std::span<const double> w0, const RidgeSetting& source,
                    std::span<const double> w1, const Covariance& weight);

struct TransferRisk {
  double source = 0;    ///< of the source model on the source task
  double transfer = 0;  ///< of the target model centred at the source model
  double scratch = 0;   ///< of the target model centred at zero
  double bias = 0;      ///< part of `transfer` that the centre's error makes: centre_error in the weight W1
  double noise = 0;     ///< part of `transfer` and of `scratch` that the target's noise makes: noise D1 / (1 - D1)
};

/// A pair of tasks; the change between the two eigenbases is computed once, then a risk takes O(p^2), or O(p) if both
/// covariances are diagonal.
class LinearTransfer {
 public:
  /// Throws ShapeError if the dimensions differ, ValueError for values that are not finite.
  LinearTransfer(Covariance source_inputs, std::span<const double> w0, Covariance target_inputs,
                 std::span<const double> w1);

  /// transfer = centre_error with W1 = kappa1^2 (S1 + kappa1)^-1 S1 (S1 + kappa1)^-1 / (1 - D1), plus the noise part;
  /// scratch the same with w1' W1 w1. Transfer helps iff transfer < scratch: the target enters through W1 alone.
  TransferRisk risk(const RidgeSetting& source, const RidgeSetting& target) const;

  /// The decision boundary: the c >= 0 at which transfer and scratch have equal risks for the target c w1; transfer
  /// helps for every larger one. Infinite if it helps for none. With isotropic inputs and w1 = w0 it is
  /// critical_alignment of isotropic.hpp, the same for every target fit; otherwise it depends on the target's samples
  /// and penalty.
  double critical_scale(const RidgeSetting& source, const RidgeSetting& target) const;

 private:
  struct Parts {
    double scratch_bias = 0;  // w1' W1 w1
    double inner = 0;         // w1' W1 E w0_hat
    double norm = 0;          // E ||w0_hat||^2 in W1
    double target_noise = 0;
    double source_risk = 0;
  };
  Parts parts(const RidgeSetting& source, const RidgeSetting& target) const;

  Covariance source_inputs_;
  Covariance target_inputs_;
  std::vector<double> w0_;      // in the source's eigenbasis
  std::vector<double> w1_;      // in the target's
  std::vector<double> change_;  // row-major [p, p], target eigenvectors times source eigenvectors; empty: identity
};

}  // namespace rtl::theory
