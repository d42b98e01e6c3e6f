#include "rtl/theory/source_penalty.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rtl/theory/isotropic.hpp"
#include "solvers/domain.hpp"
#include "theory/roots.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct CubicMoments {
  double first = 0;   // sum omega s / (s + tau)^3
  double second = 0;  // sum omega s^2 / (s + tau)^3
};

/// The stationarity condition of the spectrum rule, in the units of a penalty.
class SpectrumRule {
 public:
  SpectrumRule(std::span<const double> spectrum, std::span<const double> weights, double source_penalty,
               double alignment)
      : spectrum_(spectrum), weights_(weights), source_penalty_(source_penalty), alignment_(alignment) {}

  double operator()(double penalty) const {
    return alignment_ * penalty - source_penalty_ - (1 - alignment_) * mean_eigenvalue(penalty);
  }
  double disadvantage(double penalty) const {
    double sum = 0;
    for (std::size_t i = 0; i < spectrum_.size(); ++i) {
      const double s = spectrum_[i], total = s + penalty;
      if (s == 0) continue;
      sum += weights_[i] * (s * (s + source_penalty_) / (total * total) - 2 * alignment_ * s / total);
    }
    return sum;
  }

 private:
  double mean_eigenvalue(double penalty) const {
    CubicMoments moments;
    for (std::size_t i = 0; i < spectrum_.size(); ++i) {
      const double s = spectrum_[i], total = s + penalty;
      if (s == 0) continue;
      const double term = weights_[i] * (s / total) / (total * total);
      moments.first += term;
      moments.second += term * s;
    }
    return moments.first > 0 ? moments.second / moments.first : 0;
  }

  std::span<const double> spectrum_;
  std::span<const double> weights_;
  double source_penalty_;
  double alignment_;
};

void check(const char* call, std::span<const double> spectrum, std::span<const double> weights, double source_penalty,
           double alignment) {
  domain::spectrum(call, "spectrum", spectrum);
  domain::spectrum(call, "weights", weights);
  domain::count(call, "weights", weights.size(), spectrum.size());
  domain::not_negative(call, "source_penalty", source_penalty);
  domain::finite(call, "alignment", alignment);
}

}  // namespace

double source_optimal_penalty(double ratio, double noise) {
  domain::positive("source_optimal_penalty", "ratio", ratio);
  domain::not_negative("source_optimal_penalty", "noise", noise);
  return ratio * noise;
}

TransferOptimum transfer_optimal_penalty(double ratio, double noise, double alignment) {
  domain::positive("transfer_optimal_penalty", "ratio", ratio);
  domain::not_negative("transfer_optimal_penalty", "noise", noise);
  domain::finite("transfer_optimal_penalty", "alignment", alignment);
  if (alignment <= 0) return {infinity, infinity, 0};
  if (alignment == 1) {
    const double penalty = source_optimal_penalty(ratio, noise);
    const IsotropicRidge ridge = isotropic_ridge(ratio, noise, penalty);
    return {penalty, ridge.u, centre_disadvantage(ridge, alignment)};
  }
  const double edge = std::max(1.0, ratio);
  const auto disadvantage = [&](double penalty) {
    return centre_disadvantage(isotropic_ridge(ratio, noise, penalty), alignment);
  };
  TransferOptimum best{0, edge, disadvantage(0)};
  const double distance = 1 - alignment;
  const std::vector<double> quartic = {-distance * ratio * ratio, 0, ratio + 2 * ratio * distance,
                                       -(1 + ratio + ratio * noise), alignment};
  double bound = 0;
  for (const double coefficient : quartic) bound = std::max(bound, std::abs(coefficient / alignment));
  for (const double u : polynomial_roots(quartic, edge, std::max(edge, 1 + bound))) {
    const double penalty = isotropic_penalty(ratio, u);
    const double value = disadvantage(penalty);
    if (value < best.disadvantage) best = {penalty, u, value};
  }
  return best;
}

ScaledCentre scaled_centre_optimum(double ratio, double noise, double alignment) {
  domain::finite("scaled_centre_optimum", "alignment", alignment);
  const double penalty = source_optimal_penalty(ratio, noise);
  const double overlap = isotropic_ridge(ratio, noise, penalty).overlap;
  return {alignment, penalty, -alignment * alignment * overlap};
}

double finite_sample_disadvantage(std::span<const double> spectrum, std::span<const double> weights,
                                  double source_penalty, double alignment, double penalty) {
  check("finite_sample_disadvantage", spectrum, weights, source_penalty, alignment);
  domain::not_negative("finite_sample_disadvantage", "penalty", penalty);
  return SpectrumRule(spectrum, weights, source_penalty, alignment).disadvantage(penalty);
}

double finite_sample_transfer_penalty(std::span<const double> spectrum, std::span<const double> weights,
                                      double source_penalty, double alignment) {
  check("finite_sample_transfer_penalty", spectrum, weights, source_penalty, alignment);
  if (alignment <= 0) return infinity;
  if (alignment == 1) return source_penalty;
  const SpectrumRule rule(spectrum, weights, source_penalty, alignment);
  const double largest = *std::max_element(spectrum.begin(), spectrum.end());
  const double ideal = source_penalty / alignment;
  if (alignment > 1) {  // the rule rises with the penalty: one root, or none above zero
    return rule(0) >= 0 ? 0 : bisect(rule, 0, ideal);
  }
  // For alignment < 1 it is negative at `ideal` and positive at `top`, and may turn in between.
  const double top = ideal + (1 - alignment) / alignment * largest;
  constexpr int pieces = 256;
  double best = top, least = rule.disadvantage(top);
  double low = ideal;
  for (int i = 1; i <= pieces; ++i) {
    const double share = static_cast<double>(i) / pieces;
    const double high = ideal + (top - ideal) * share * share * share;  // finer where the small eigenvalues act
    if (rule(low) < 0 && rule(high) >= 0) {
      const double root = bisect(rule, low, high);
      const double value = rule.disadvantage(root);
      if (value < least) {
        least = value;
        best = root;
      }
    }
    low = high;
  }
  return best;
}

}  // namespace rtl::theory
