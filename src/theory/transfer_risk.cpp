#include "rtl/theory/transfer_risk.hpp"

#include <limits>
#include <numeric>

#include "rtl/theory/kappa.hpp"
#include "solvers/domain.hpp"
#include "theory/basis_change.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void check(const char* call, const RidgeSetting& fit) {
  domain::positive(call, "samples", fit.samples);
  domain::not_negative(call, "noise", fit.noise);
  domain::not_negative(call, "penalty", fit.penalty);
}

void check(const char* call, const char* name, std::span<const double> w, std::int64_t dimension) {
  domain::count(call, name, w.size(), static_cast<std::size_t>(dimension));
  for (const double value : w) domain::finite(call, name, value);
}

/// A ridge fit in the eigenbasis of its inputs.
struct Shrunk {
  EffectivePenalty level;
  std::vector<double> mean;      // E w_hat = s / (s + kappa) w
  std::vector<double> variance;  // s / (s + kappa)^2 / n: per eigenvector, times the total test error
  double test_error = 0;         // (w' P S P w + noise) / (1 - D)
};

Shrunk shrink(const Covariance& inputs, std::span<const double> w, const RidgeSetting& fit) {
  const auto s = inputs.eigenvalues();
  Shrunk result;
  result.level = effective_penalty(s, fit.penalty, fit.samples);
  const double kappa = result.level.kappa;
  double missed = 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const double total = s[i] + kappa, share = is_negligible(s[i], result.level) ? 0 : s[i] / total;
    const double left = (1 - share) * w[i];
    result.mean.push_back(share * w[i]);
    result.variance.push_back(share == 0 ? 0 : share / total / fit.samples);
    missed += left * s[i] * left;
  }
  const double rest = 1 - result.level.variance_share;
  const double error = missed + fit.noise;
  result.test_error = error == 0 ? 0 : (rest > 0 ? error / rest : infinity);
  return result;
}

/// tr[W V], W = diag(weight) in the basis that `change` leads to, V = diag(variance) in the one it comes from.
double weighted_trace(const std::vector<double>& change, std::span<const double> weight,
                      const std::vector<double>& variance) {
  const std::vector<double> diagonal = diagonal_after(change, variance);
  return std::inner_product(weight.begin(), weight.end(), diagonal.begin(), 0.0);
}

double times(double factor, double error) { return factor == 0 ? 0 : factor * error; }

}  // namespace

double ridge_risk(const Covariance& inputs, std::span<const double> w, const RidgeSetting& fit) {
  check("ridge_risk", fit);
  check("ridge_risk", "w", w, inputs.dimension());
  return shrink(inputs, inputs.coordinates(w), fit).test_error - fit.noise;
}

double centre_error(const Covariance& inputs, std::span<const double> w0, const RidgeSetting& source,
                    std::span<const double> w1, const Covariance& weight) {
  check("centre_error", source);
  check("centre_error", "w0", w0, inputs.dimension());
  check("centre_error", "w1", w1, weight.dimension());
  domain::count("centre_error", "w1", w1.size(), w0.size());
  const Shrunk shrunk = shrink(inputs, inputs.coordinates(w0), source);
  const auto change = basis_change(inputs, weight);
  const auto mean = apply(change, shrunk.mean), target = weight.coordinates(w1);
  const auto f = weight.eigenvalues();
  double bias = 0;
  for (std::size_t i = 0; i < f.size(); ++i) bias += f[i] * (mean[i] - target[i]) * (mean[i] - target[i]);
  return bias + times(weighted_trace(change, f, shrunk.variance), shrunk.test_error);
}

LinearTransfer::LinearTransfer(Covariance source_inputs, std::span<const double> w0, Covariance target_inputs,
                               std::span<const double> w1)
    : source_inputs_(std::move(source_inputs)), target_inputs_(std::move(target_inputs)) {
  check("LinearTransfer", "w0", w0, source_inputs_.dimension());
  check("LinearTransfer", "w1", w1, target_inputs_.dimension());
  domain::count("LinearTransfer", "w1", w1.size(), w0.size());
  w0_ = source_inputs_.coordinates(w0);
  w1_ = target_inputs_.coordinates(w1);
  change_ = basis_change(source_inputs_, target_inputs_);
}

LinearTransfer::Parts LinearTransfer::parts(const RidgeSetting& source, const RidgeSetting& target) const {
  check("LinearTransfer", source);
  check("LinearTransfer", target);
  const Shrunk shrunk = shrink(source_inputs_, w0_, source);
  const auto s = target_inputs_.eigenvalues();
  const EffectivePenalty level = effective_penalty(s, target.penalty, target.samples);
  const double rest = 1 - level.variance_share;
  std::vector<double> weight;
  for (const double eigenvalue : s) {
    const double left = is_negligible(eigenvalue, level) ? 1 : level.kappa / (eigenvalue + level.kappa);
    weight.push_back(rest > 0 ? left * left * eigenvalue / rest : 0);
  }
  const auto mean = apply(change_, shrunk.mean);
  Parts parts;
  parts.source_risk = shrunk.test_error - source.noise;
  parts.target_noise = times(target.noise, rest > 0 ? level.variance_share / rest : infinity);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    parts.scratch_bias += weight[i] * w1_[i] * w1_[i];
    parts.inner += weight[i] * w1_[i] * mean[i];
    parts.norm += weight[i] * mean[i] * mean[i];
  }
  parts.norm += times(weighted_trace(change_, weight, shrunk.variance), shrunk.test_error);
  return parts;
}

TransferRisk LinearTransfer::risk(const RidgeSetting& source, const RidgeSetting& target) const {
  const Parts at = parts(source, target);
  TransferRisk risk;
  risk.source = at.source_risk;
  risk.noise = at.target_noise;
  risk.scratch = at.scratch_bias + at.target_noise;
  risk.bias = at.scratch_bias - 2 * at.inner + at.norm;
  risk.transfer = risk.bias + at.target_noise;
  return risk;
}

double LinearTransfer::critical_scale(const RidgeSetting& source, const RidgeSetting& target) const {
  const Parts at = parts(source, target);
  if (at.norm == 0) return 0;
  return at.inner > 0 ? at.norm / (2 * at.inner) : infinity;
}

}  // namespace rtl::theory
