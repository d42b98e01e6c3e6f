// Featurized regressions drawn at random against the risk formula.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "rtl/solvers/featurization.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "rtl/theory/simulation.hpp"
#include "studies/optimal_features/parts.hpp"
#include "studies/optimal_features/problem.hpp"

namespace rtl::studies::optimal_features {

namespace {

using theory::Covariance;

struct Case {
  std::string name;
  Covariance features;
  Covariance tasks;
  double noise;
  double penalty;
  std::int64_t samples;
};

double compare(Reproduction& result, const Case& one, int draws, const RunOptions& options) {
  const theory::FeatureSimulation simulation(one.features, one.tasks, one.noise, one.penalty, one.samples);
  std::vector<double> risk, bias, input, interaction;
  for (const theory::FeatureDraw& draw : optimal_features::draw(simulation, draws, options)) {
    risk.push_back(draw.risk);
    bias.push_back(draw.bias);
    input.push_back(draw.input_variance);
    interaction.push_back(draw.interaction_variance);
  }
  const auto formula =
      theory::featurized_risk(one.features, one.tasks, one.noise, one.penalty, static_cast<double>(one.samples));
  claim_average(result, one.name + ", R", risk, formula.risk);
  claim_average(result, one.name + ", bias", bias, formula.bias);
  claim_average(result, one.name + ", V_X", input, formula.input_variance);
  claim_average(result, one.name + ", V_Xe", interaction, formula.interaction_variance);
  return formula.risk;
}

void compare_optima(Reproduction& result, const RunOptions& options, int draws) {
  const Problem problem(240, 1, options.seed * 10 + 5);
  const double noise = .2, samples = 90;
  using solvers::FeatureGoal;
  const auto best = [&](FeatureGoal goal) {
    return solvers::optimal_featurization(problem.sigma, problem.omega, noise, samples, {.goal = goal});
  };
  std::vector<std::pair<std::string, double>> risks;
  const auto add = [&](const std::string& name, const solvers::FeatureMap& map, double penalty) {
    risks.emplace_back(
        name, compare(result, {name, problem.features(map), problem.tasks, noise, penalty, 90}, draws, options));
    options.progress(.5 + .1 * static_cast<double>(risks.size()), name);
  };
  const auto bayes = best(FeatureGoal::bayes), soft = best(FeatureGoal::soft), hard = best(FeatureGoal::hard);
  add("non-commuting, Bayes features", bayes.map, bayes.optimum.penalty);
  add("non-commuting, soft features", soft.map, 0);
  add("non-commuting, hard features", hard.map, 0);
  add("non-commuting, ground truth", bayes.map, 0);
  add("non-commuting, identity", solvers::identity_features(problem.p), 0);
  const double optimum = std::min(risks[1].second, risks[2].second);
  for (std::size_t i = 3; i < risks.size(); ++i) {
    result.claims.push_back({risks[i].first + ": not below the best minimum-norm features", optimum, risks[i].second, 0,
                             Relation::at_least});
  }
  for (std::int64_t rank = 10; rank <= 80; rank += 10) {
    const auto axes = solvers::principal_components(problem.sigma, rank);
    const double risk = theory::featurized_risk(problem.features(axes), problem.tasks, noise, 0, samples).risk;
    result.claims.push_back(
        {fmt::format("non-commuting, {} principal components: not below the best minimum-norm features", rank), optimum,
         risk, 0, Relation::at_least});
  }
}

/// Where Omega is a multiple of I, the hard optimum spans principal axes.
void claim_principal_components(Reproduction& result, const RunOptions& options) {
  const std::int64_t p = 60;
  const double noise = .1, samples = 40;
  const Problem problem(p, 1.5, options.seed * 10 + 8);
  const Tensor isotropic =
      combine(orthonormal_rows(p, p, 1), std::vector<double>(static_cast<std::size_t>(p), 1.0 / p), p);
  const auto hard =
      solvers::optimal_featurization(problem.sigma, isotropic, noise, samples, {.goal = solvers::FeatureGoal::hard});
  const auto axes = solvers::principal_components(problem.sigma, hard.optimum.rank);
  const Covariance tasks = Covariance::dense(around(problem.root, isotropic));
  const double risk = theory::featurized_risk(problem.features(axes), tasks, noise, 0, samples).risk;
  result.claims.push_back(
      {fmt::format("unstructured tasks: {} principal components have the risk of the hard optimum", hard.optimum.rank),
       hard.optimum.risk, risk, 1e-9 * hard.optimum.risk});
}

/// Bias and variances of the identity along the number of samples, by the formula and from draws.
void add_decomposition_figure(Reproduction& result, const Covariance& tasks, int draws, const RunOptions& options) {
  const std::int64_t p = tasks.dimension();
  Figure figure{.name = "decomposition",
                .title = "Bias and variances of the identity featurization",
                .caption =
                    "p = 250, task eigenvalues 1/i, noise 0.2, minimum norm. Lines: the formula. Points: draws, two "
                    "standard errors.",
                .x_label = "samples n",
                .y_label = "part of the test error",
                .logarithmic_y = true};
  Series bias = Series::line("bias"), input = Series::line("V_X"), interaction = Series::line("V_Xe");
  const Covariance white = Covariance::isotropic(p);
  for (const double n : steps(20, 495, 5)) {
    if (std::abs(n - static_cast<double>(p)) < 10) continue;
    const auto risk = theory::featurized_risk(white, tasks, .2, 0, n);
    bias.add(n, std::max(risk.bias, 1e-6));
    input.add(n, std::max(risk.input_variance, 1e-6));
    interaction.add(n, risk.interaction_variance);
  }
  Series points[3] = {Series::points("bias: draws"), Series::points("V_X: draws"), Series::points("V_Xe: draws")};
  for (const std::int64_t n : {40, 80, 120, 160, 200}) {
    const theory::FeatureSimulation simulation(white, tasks, .2, 0, n);
    std::vector<double> parts[3];
    for (const theory::FeatureDraw& draw : optimal_features::draw(simulation, draws, options)) {
      parts[0].push_back(draw.bias);
      parts[1].push_back(draw.input_variance);
      parts[2].push_back(draw.interaction_variance);
    }
    for (std::size_t i = 0; i < 3; ++i) {
      const auto mean = theory::average(parts[i]);
      points[i].add(static_cast<double>(n), mean);
    }
  }
  figure.series = {bias, points[0], input, points[1], interaction, points[2]};
  result.figures.push_back(figure);
}

}  // namespace

void decomposition(Reproduction& result, const RunOptions& options) {
  const bool full = options.full();
  const int draws = full ? 80 : 40;
  const std::int64_t p = 250;
  const Covariance tasks = Covariance::diagonal(power_tasks(p, 1)), law = Covariance::power_law(p, .5);
  const auto wide = orthonormal_rows(p, p, options.seed * 10 + 1);
  const std::vector<double> few(60, 1.0);
  const Case cases[] = {
      {"random features with a penalty", Covariance::dense(combine(wide, spectrum_of(law), p)), tasks, .5, .1, 300},
      {"random features, least norm", Covariance::dense(combine(wide, spectrum_of(law), p)), tasks, .2, 0, 120},
      {"60 random directions, least norm", Covariance::dense(combine(wide, few, p)), tasks, .3, 0, 200},
      {"identity, least norm", Covariance::isotropic(p), tasks, .2, 0, 100}};
  double done = 0;
  for (const Case& one : cases) {
    options.progress(.5 * done++ / 4, one.name);
    compare(result, one, draws, options);
  }
  compare_optima(result, options, draws);
  claim_principal_components(result, options);
  add_decomposition_figure(result, tasks, draws, options);
}

}  // namespace rtl::studies::optimal_features
