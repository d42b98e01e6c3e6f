#include "rtl/theory/featurized_risk.hpp"

#include <limits>

#include "rtl/theory/kappa.hpp"
#include "solvers/domain.hpp"
#include "theory/basis_change.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;

FeaturizedRisk featurized_risk(std::span<const double> features, std::span<const double> energies, double noise,
                               double penalty, double samples) {
  domain::spectrum("featurized_risk", "energies", energies);
  domain::count("featurized_risk", "energies", energies.size(), features.size());
  domain::not_negative("featurized_risk", "noise", noise);
  const EffectivePenalty level = effective_penalty(features, penalty, samples);
  FeaturizedRisk risk;
  risk.kappa = level.kappa;
  risk.degrees_of_freedom = level.degrees_of_freedom;
  risk.variance_share = level.variance_share;
  for (std::size_t i = 0; i < features.size(); ++i) {
    const double missed = is_negligible(features[i], level) ? 1 : level.kappa / (features[i] + level.kappa);
    risk.bias += energies[i] * missed * missed;
  }
  const double rest = 1 - risk.variance_share;
  const auto amplified = [&](double part) {
    if (part == 0) return 0.0;
    return rest > 0 ? part / rest : std::numeric_limits<double>::infinity();
  };
  risk.input_variance = amplified(risk.bias * risk.variance_share);
  risk.interaction_variance = amplified(noise * risk.variance_share);
  risk.risk = amplified(risk.bias + noise);
  return risk;
}

FeaturizedRisk featurized_risk(const Covariance& features, const Covariance& tasks, double noise, double penalty,
                               double samples) {
  return featurized_risk(features.eigenvalues(), task_energies(features, tasks), noise, penalty, samples);
}

std::vector<double> task_energies(const Covariance& features, const Covariance& tasks) {
  domain::count("task_energies", "tasks", tasks.eigenvalues().size(), features.eigenvalues().size());
  return diagonal_in(features, tasks);
}

}  // namespace rtl::theory
