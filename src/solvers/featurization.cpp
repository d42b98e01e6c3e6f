#include "rtl/solvers/featurization.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/core/error.hpp"
#include "solvers/dense.hpp"
#include "solvers/domain.hpp"

namespace rtl::solvers {
namespace {

constexpr const char* call = "optimal_featurization";

FeatureOptimum optimum_for(std::span<const double> tasks, double noise, double samples,
                           const FeaturizationOptions& options) {
  switch (options.goal) {
    case FeatureGoal::bayes:
      return bayes_optimum(tasks, noise, samples);
    case FeatureGoal::minimum_norm:
      return minimum_norm_optimum(tasks, noise, samples, options.max_rank);
    case FeatureGoal::soft:
      return soft_optimum(tasks, noise, samples, options.max_rank);
    case FeatureGoal::hard:
      return hard_optimum(tasks, noise, samples, options.max_rank);
  }
  throw ValueError("optimal_featurization: no such goal");
}

/// With fewer features than directions, the tasks beyond them act as noise: the ridge is tuned for what is left.
FeatureOptimum limited_bayes(std::span<const double> tasks, double noise, double samples, std::int64_t rank) {
  double dropped = 0;
  for (std::size_t i = tasks.size(); i-- > static_cast<std::size_t>(rank);) dropped += tasks[i];
  FeatureOptimum optimum = bayes_optimum(tasks.first(static_cast<std::size_t>(rank)), noise + dropped, samples);
  optimum.weights.resize(tasks.size(), 0);
  optimum.spectrum.resize(tasks.size(), 0);
  return optimum;
}

std::vector<std::string> warnings_for(const Featurization& result, double samples) {
  std::vector<std::string> warnings;
  const auto rank = std::count_if(result.tasks.begin(), result.tasks.end(),
                                  [&](double t) { return t > 1e-12 * result.tasks.front(); });
  const auto& optimum = result.optimum;
  if (rank < static_cast<std::int64_t>(result.tasks.size()) && optimum.phase == FeaturePhase::bayes) {
    warnings.push_back(fmt::format(
        "the tasks span {} of {} directions: new tasks outside them cannot be learnt; blend with the identity", rank,
        result.tasks.size()));
  }
  double share = 0;
  for (const double h : optimum.weights) share += h * h / samples;
  if (1 - share < 0.05) {
    warnings.push_back(
        fmt::format("the interpolation threshold is near (1 - D = {:.3g}): risks scatter widely", 1 - share));
  }
  if (optimum.rank == 0) {
    warnings.push_back("no direction pays for its variance; the strongest one is kept, predicting the mean is better");
  }
  return warnings;
}

}  // namespace

Featurization optimal_featurization(ConstView sigma, ConstView omega, double noise, double samples,
                                    const FeaturizationOptions& options) {
  domain::not_negative(call, "noise", noise);
  domain::positive(call, "samples", samples);
  const SquareRoots roots = square_roots(call, sigma, options.eigenvalue_floor);
  const Dense wanted = symmetric_copy(call, "omega", omega);
  if (wanted.rows() != roots.root.rows()) {
    throw ShapeError(fmt::format("{}: omega is {}, sigma is {}; they must be equal", call, omega.shape().to_string(),
                                 sigma.shape().to_string()));
  }
  Dense tasks = multiply(multiply(roots.root, wanted), roots.root);
  tasks.symmetrize();
  Eigen decomposed = eigen(std::move(tasks));
  require_semidefinite(call, "omega", decomposed);
  if (decomposed.values.back() == 0) throw ValueError("optimal_featurization: omega is 0; there is no task to learn");
  const auto p = static_cast<std::int64_t>(decomposed.values.size());
  if (options.max_rank < 0 || options.max_rank > p) {
    throw ValueError(
        fmt::format("{}: max_rank is {}; it must be between 1 and p = {}, or 0", call, options.max_rank, p));
  }

  const std::vector<double> falling(decomposed.values.rbegin(), decomposed.values.rend());
  FeatureOptimum optimum = options.goal == FeatureGoal::bayes && options.max_rank > 0
                               ? limited_bayes(falling, noise, samples, options.max_rank)
                               : optimum_for(falling, noise, samples, options);
  const std::int64_t columns = std::max<std::int64_t>(optimum.rank, 1);
  Dense scaled(p, columns, roots.root.host());
  for (std::int64_t j = 0; j < columns; ++j) {
    const double strength = optimum.rank == 0 ? 1 : std::sqrt(optimum.spectrum[static_cast<std::size_t>(j)]);
    for (std::int64_t i = 0; i < p; ++i) scaled(i, j) = strength * decomposed.vectors(p - 1 - j, i);
  }
  FeatureMap::Facts facts{to_string(optimum.phase), optimum.penalty, samples, noise, optimum.risk};
  Featurization result{
      FeatureMap(multiply(roots.inverse, scaled).view(), std::move(facts)), std::move(optimum), falling, {}};
  result.warnings = warnings_for(result, samples);
  return result;
}

FeatureMap principal_components(ConstView sigma, std::int64_t rank) {
  const Eigen axes = eigen(symmetric_copy("principal_components", "sigma", sigma));
  const std::int64_t p = axes.vectors.rows();
  if (rank < 1 || rank > p) {
    throw ValueError(fmt::format("principal_components: rank is {}; it must be between 1 and p = {}", rank, p));
  }
  Dense matrix(p, rank, axes.vectors.host());
  for (std::int64_t j = 0; j < rank; ++j) {
    for (std::int64_t i = 0; i < p; ++i) matrix(i, j) = axes.vectors(p - 1 - j, i);
  }
  return {matrix.view(), {"principal components", 0, 0, 0, 0}};
}

FeatureMap whitening(ConstView sigma, double eigenvalue_floor) {
  return {square_roots("whitening", sigma, eigenvalue_floor).inverse.view(), {"whitening", 0, 0, 0, 0}};
}

FeatureMap identity_features(std::int64_t inputs, const Device& device) {
  domain::positive("identity_features", "inputs", static_cast<double>(inputs));
  return {Dense::identity(inputs, device.host()).view(), {"identity", 0, 0, 0, 0}};
}

}  // namespace rtl::solvers
