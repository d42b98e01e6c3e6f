#include "rtl/theory/isotropic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/core/error.hpp"
#include "solvers/domain.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;

namespace {

/// The root kappa >= 0 of kappa^2 + (1 - g - tau) kappa - tau = 0, without cancellation.
double isotropic_kappa(double ratio, double penalty) {
  const double half = (penalty + ratio - 1) / 2;
  const double root = std::sqrt(half * half + penalty);
  if (half > 0) return half + root;
  return penalty > 0 ? penalty / (root - half) : 0;
}

/// u^2 - g, which is small near g = 1 without penalty; there u^2 - g = kappa^2 + 2 kappa + (1 - g).
double square_minus_ratio(double kappa, double ratio) { return kappa * (kappa + 2) + (1 - ratio); }

}  // namespace

IsotropicRidge isotropic_ridge(double ratio, double noise, double penalty) {
  domain::positive("isotropic_ridge", "ratio", ratio);
  domain::not_negative("isotropic_ridge", "noise", noise);
  domain::not_negative("isotropic_ridge", "penalty", penalty);
  IsotropicRidge ridge;
  ridge.kappa = isotropic_kappa(ratio, penalty);
  ridge.u = 1 + ridge.kappa;
  ridge.overlap = 1 / ridge.u;
  const double error = ridge.kappa * ridge.kappa + ratio * noise;
  const double denominator = square_minus_ratio(ridge.kappa, ratio);
  if (denominator > 0) {
    ridge.risk = error / denominator;
  } else {
    ridge.risk = noise > 0 ? std::numeric_limits<double>::infinity() : 0;
  }
  ridge.norm = ridge.risk + 2 * ridge.overlap - 1;
  return ridge;
}

double isotropic_penalty(double ratio, double u) {
  domain::positive("isotropic_penalty", "ratio", ratio);
  domain::finite("isotropic_penalty", "u", u);
  if (u < std::max(1.0, ratio)) {
    throw ValueError(
        fmt::format("isotropic_penalty: u is {}; it is at least max(1, ratio) = {}", u, std::max(1.0, ratio)));
  }
  return (u - 1) * (u - ratio) / u;
}

IsotropicTarget isotropic_target(double ratio, double penalty) {
  domain::positive("isotropic_target", "ratio", ratio);
  domain::not_negative("isotropic_target", "penalty", penalty);
  const double kappa = isotropic_kappa(ratio, penalty);
  const double denominator = square_minus_ratio(kappa, ratio);
  if (denominator > 0) return {kappa * kappa / denominator, ratio / denominator};
  return {0, std::numeric_limits<double>::infinity()};
}

double centre_disadvantage(const IsotropicRidge& source, double alignment) {
  domain::finite("centre_disadvantage", "alignment", alignment);
  return source.norm - 2 * alignment * source.overlap;
}

double critical_alignment(const IsotropicRidge& source) { return source.norm / (2 * source.overlap); }

IsotropicTransfer isotropic_transfer(const IsotropicRidge& source, const IsotropicTarget& target, double alignment,
                                     double target_norm, double target_noise) {
  domain::finite("isotropic_transfer", "alignment", alignment);
  domain::not_negative("isotropic_transfer", "target_norm", target_norm);
  domain::not_negative("isotropic_transfer", "target_noise", target_noise);
  if (target_norm < alignment * alignment * (1 - 1e-12)) {
    throw ValueError(
        fmt::format("isotropic_transfer: target_norm is {}, less than alignment^2 = {}; it is the squared "
                    "norm of w1 in units of the squared norm of w0",
                    target_norm, alignment * alignment));
  }
  IsotropicTransfer result;
  result.scratch = target.bias * target_norm + target.noise * target_noise;
  result.gain = -target.bias * centre_disadvantage(source, alignment);
  result.transfer = result.scratch - result.gain;
  return result;
}

}  // namespace rtl::theory
