#include "transfer/advisor_weights.hpp"

#include <algorithm>
#include <cmath>

#include "transfer/paired.hpp"

namespace rtl::transfer {
namespace {

/// The candidate of the least leave-one-out error among those that `wanted` accepts; 0 if there is none.
template <typename Wanted>
std::size_t best_of(const std::vector<Judged>& judged, const Wanted& wanted) {
  std::size_t best = 0;
  for (std::size_t c = 1; c < judged.size(); ++c) {
    const AdvisorCandidate& candidate = judged[c].centre.candidate;
    if (!wanted(judged[c])) continue;
    if (best == 0 || candidate.leave_one_out < judged[best].centre.candidate.leave_one_out) best = c;
  }
  return best;
}

std::vector<double> blended_squares(const std::vector<Judged>& judged, const std::vector<double>& weights) {
  const auto outputs = static_cast<std::int64_t>(judged[0].residuals.size() / judged[0].row_squares.size());
  return row_squares(blended_residuals(judged, weights), outputs);
}

/// Of the models that are fitted around a centre: the best source at tauS and the scaled (or mixed) centre; another
/// tau0 replaces them only if it is clearly better.
std::vector<double> fitted_weights(const std::vector<Judged>& judged, const std::vector<double>& optimal,
                                   const Weighing& weighing) {
  std::vector<double> weights(judged.size());
  const auto at_optimum = [&](const AdvisorCandidate& candidate) {
    return candidate.source_penalty == optimal[candidate.source];
  };
  const std::size_t source = best_of(judged, [&](const Judged& one) {
    return one.centre.candidate.kind == CentreKind::source && at_optimum(one.centre.candidate);
  });
  weights[1] = 1;
  if (source != 0) {
    weights[1] = weighing.of_second(judged[source].row_squares, judged[1].row_squares, scaling);
    weights[source] = 1 - weights[1];
  }
  const std::vector<double> base = blended_squares(judged, weights);
  const std::size_t best = best_of(judged, [&](const Judged& one) {
    return one.centre.candidate.kind == CentreKind::source && !at_optimum(one.centre.candidate) &&
           weighing.evidence(base, one.row_squares, scaling) > 1;
  });
  if (best == 0) return weights;
  weights.assign(weights.size(), 0);
  weights[best] = 1;
  return weights;
}

}  // namespace

std::vector<double> blended_residuals(const std::vector<Judged>& judged, const std::vector<double>& weights) {
  std::vector<double> residuals(judged.front().residuals.size());
  for (std::size_t c = 0; c < judged.size(); ++c) {
    for (std::size_t i = 0; weights[c] != 0 && i < residuals.size(); ++i) {
      residuals[i] += weights[c] * judged[c].residuals[i];
    }
  }
  return residuals;
}

std::vector<double> row_squares(const std::vector<double>& residuals, std::int64_t outputs) {
  const auto k = static_cast<std::size_t>(outputs);
  std::vector<double> squares(residuals.size() / k);
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    squares[i / k] += residuals[i] * residuals[i] / static_cast<double>(k);
  }
  return squares;
}

std::vector<double> transfer_weights(const std::vector<Judged>& judged, const std::vector<double>& optimal,
                                     const Weighing& weighing) {
  std::vector<double> weights = fitted_weights(judged, optimal, weighing);
  const auto as_it_is = [&](bool own_intercept) {
    return best_of(judged, [&](const Judged& one) {
      const AdvisorCandidate& candidate = one.centre.candidate;
      return candidate.kind == CentreKind::unchanged && candidate.source_intercept == own_intercept;
    });
  };
  const std::size_t shifted = as_it_is(false), whole = as_it_is(true);
  if (shifted == 0) return weights;
  std::vector<double> unchanged(weights.size());
  if (whole != 0) {
    unchanged[whole] = weighing.of_second(judged[shifted].row_squares, judged[whole].row_squares, source_intercept);
  }
  unchanged[shifted] = 1 - unchanged[whole];
  const double share =
      weighing.of_second(blended_squares(judged, weights), blended_squares(judged, unchanged), source_as_it_is);
  for (std::size_t c = 0; c < weights.size(); ++c) weights[c] += share * (unchanged[c] - weights[c]);
  return weights;
}

double doubt(std::size_t rows) {
  constexpr double few = 40;
  return 1 / (1 + std::pow(static_cast<double>(rows) / few, 4));
}

double Weighing::evidence(const std::vector<double>& first, const std::vector<double>& second,
                          const Match& match) const {
  const Paired gain = paired_difference(first, second, taken_);
  if (gain.mean == 0 || std::isinf(gain.standard_error)) return 0;
  const double z = z_of(gain.mean, gain.standard_error) * (1 - (1 - match.worth) * doubt(first.size()));
  const double beyond = std::fabs(std::log(mean_of(first) / mean_of(second))) - std::log(match.apart);
  return z + std::copysign(0.25 * static_cast<double>(first.size()) * std::max(0.0, beyond), gain.mean);
}

double Weighing::of_second(const std::vector<double>& first, const std::vector<double>& second,
                           const Match& match) const {
  if (rule_ == AdvisorRule::choose) return paired_difference(first, second, taken_).mean > 0 ? 1 : 0;
  return normal_probability(evidence(first, second, match) + match.favour * doubt(first.size()));
}

double Weighing::of_transfer(const std::vector<double>& scratch, const std::vector<double>& transfer,
                             double favour) const {
  if (rule_ == AdvisorRule::choose) return paired_difference(scratch, transfer, taken_).mean > 0 ? 1 : 0;
  return normal_probability(evidence(scratch, transfer, Match{}) + favour);
}

PenaltyPrior::PenaltyPrior(const solvers::RidgePath& path) : rows_(static_cast<double>(path.rows())) {
  for (const double value : path.eigenvalues()) trace_ += value;
}

double PenaltyPrior::factor(double penalty) const {
  // Beta(3, 6), as a density of log(penalty).
  constexpr double explained = 3, unexplained = 6, least = 1e-12;
  const double noise = rows_ * rows_ * penalty, total = trace_ + noise;
  if (!(total > 0)) return 1;
  const double log_density =
      explained * std::log(std::max(least, trace_ / total)) + unexplained * std::log(std::max(least, noise / total));
  return std::exp(-2 / rows_ * doubt(static_cast<std::size_t>(rows_)) * log_density);
}

}  // namespace rtl::transfer
