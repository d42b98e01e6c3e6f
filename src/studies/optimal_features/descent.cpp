// Gradient descent and minimax against closed forms.
#include <algorithm>
#include <cmath>

#include "rtl/solvers/descend_featurization.hpp"
#include "rtl/solvers/featurization.hpp"
#include "rtl/theory/simulation.hpp"
#include "studies/optimal_features/parts.hpp"
#include "studies/optimal_features/problem.hpp"

namespace rtl::studies::optimal_features {

namespace {

constexpr double noise = .1;

Series gaps(const std::string& name, const std::vector<double>& risks, double optimum) {
  Series series = Series::line(name);
  double least = risks.front();
  for (std::size_t i = 0; i < risks.size(); ++i) {
    least = std::min(least, risks[i]);
    series.add(static_cast<double>(i) + 1, std::max(least - optimum, 1e-12));
  }
  return series;
}

void descend(Reproduction& result, const RunOptions& options) {
  const std::int64_t p = 40;
  const double samples = 20;
  const Problem problem(p, 1, options.seed * 10 + 3);
  using solvers::FeatureGoal;
  const auto best = [&](FeatureGoal goal) {
    return solvers::optimal_featurization(problem.sigma, problem.omega, noise, samples, {.goal = goal}).optimum.risk;
  };
  const double soft = best(FeatureGoal::soft), bayes = best(FeatureGoal::bayes);
  auto first = theory::standard_normals(options.seed, 500, p * p);  // B B' is about the identity
  for (double& value : first) value /= std::sqrt(static_cast<double>(p));
  const Tensor start = Tensor::from(first, {p, p}, Device::cpu());
  const auto free =
      solvers::descend_featurization(problem.sigma, problem.omega, start, noise, 0, samples, {.iterations = 300});
  const auto steps = solvers::descend_featurization(problem.sigma, problem.omega, start, noise, 0, samples,
                                                    {.iterations = 400, .constraint = [](View) {}});
  const auto ridge =
      solvers::descend_featurization(problem.sigma, problem.omega, start, noise, .02, samples, {.iterations = 2000});
  result.claims.push_back(
      {"descent without penalty (L-BFGS): reaches the soft optimum", soft, free.map.facts().expected_risk, 1e-4});
  result.claims.push_back({"descent without penalty (normalised steps): reaches the soft optimum", soft,
                           steps.map.facts().expected_risk, 1e-3});
  result.claims.push_back(
      {"descent with penalty (L-BFGS): reaches the Bayes optimum", bayes, ridge.map.facts().expected_risk, 1e-4});
  result.claims.push_back({"descent: never below the Bayes optimum", bayes,
                           std::min(ridge.map.facts().expected_risk, free.map.facts().expected_risk), 1e-9,
                           Relation::at_least});
  Figure figure{.name = "descent",
                .title = "Gradient descent on the expected risk",
                .caption = "p = 40, n = 20, from random features.",
                .x_label = "iteration",
                .y_label = "risk above the closed form",
                .logarithmic_x = true,
                .logarithmic_y = true};
  figure.series = {gaps("no penalty, L-BFGS", free.risks, soft),
                   gaps("no penalty, normalised steps", steps.risks, soft),
                   gaps("penalty 0.02, L-BFGS", ridge.risks, bayes)};
  result.figures.push_back(figure);
}

void minimax_over_tasks(Reproduction& result, const RunOptions& options) {
  const std::int64_t wide = 60;
  std::vector<Tensor> kinds;
  for (std::uint64_t j = 0; j < 5; ++j) {
    kinds.push_back(combine(orthonormal_rows(3, wide, options.seed * 100 + j), std::vector<double>(3, 1.0 / 3), wide));
  }
  const std::vector<ConstView> views(kinds.begin(), kinds.end());
  const Tensor white =
      combine(orthonormal_rows(wide, wide, 1), std::vector<double>(static_cast<std::size_t>(wide), 1.0), wide);
  const auto uniform = solvers::minimax_featurization(white, views, noise, 30, 1);
  const auto minimax = solvers::minimax_featurization(white, views, noise, 30, 1000);
  result.claims.push_back({"minimax over five kinds of tasks, 1000 iterations: gap", 0,
                           minimax.worst_risk - minimax.lower_bound, 5e-4, Relation::at_most});
  result.claims.push_back({"minimax: worst risk is not above that of equal weights", uniform.worst_risk,
                           minimax.worst_risk, 0, Relation::at_most});
}

}  // namespace

void descent(Reproduction& result, const RunOptions& options) {
  descend(result, options);
  options.progress(.5, "minimax");
  minimax_over_tasks(result, options);
}

}  // namespace rtl::studies::optimal_features
