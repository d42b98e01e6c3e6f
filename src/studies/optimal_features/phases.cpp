// The two peaks of the ground-truth featurization, and the phases of the best one.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "rtl/solvers/feature_optimum.hpp"
#include "rtl/theory/double_divergence.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "rtl/theory/phase_diagram.hpp"
#include "rtl/theory/simulation.hpp"
#include "studies/optimal_features/parts.hpp"
#include "studies/optimal_features/problem.hpp"

namespace rtl::studies::optimal_features {

namespace {

using theory::Covariance;

Series curve(const std::string& name, const std::vector<double>& x, const std::function<double(double)>& function) {
  Series series = Series::line(name);
  for (const double value : x) series.add(value, function(value));
  return series;
}

/// Mean risk of draws at several numbers of samples, with its claim at each.
Series simulated(Reproduction& result, const std::string& name, const std::string& claim,
                 const std::vector<double>& features, const std::vector<double>& tasks, double noise,
                 const std::vector<std::int64_t>& samples, int draws, const RunOptions& options) {
  Series series = Series::points(name);
  for (const std::int64_t n : samples) {
    const theory::FeatureSimulation simulation(Covariance::diagonal(features), Covariance::diagonal(tasks), noise, 0,
                                               n);
    std::vector<double> risks;
    for (const theory::FeatureDraw& one : optimal_features::draw(simulation, draws, options)) risks.push_back(one.risk);
    const double formula = theory::featurized_risk(features, tasks, noise, 0, static_cast<double>(n)).risk;
    claim_average(result, fmt::format("{}, n {}", claim, n), risks, formula);
    const theory::Average mean = theory::average(risks);
    series.add(static_cast<double>(n), mean);
  }
  return series;
}

void append(Series& to, const Series& from) {
  to.x.insert(to.x.end(), from.x.begin(), from.x.end());
  to.y.insert(to.y.end(), from.y.begin(), from.y.end());
  to.error.insert(to.error.end(), from.error.begin(), from.error.end());
}

/// Positions at which the curve is above both neighbours.
std::vector<double> peaks(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> found;
  for (std::size_t i = 1; i + 1 < y.size(); ++i) {
    if (y[i] > y[i - 1] && y[i] > y[i + 1]) found.push_back(x[i]);
  }
  return found;
}

constexpr double table_noises[] = {.01, .05, .1, .5, 1};
struct TableRow {
  double dimensions;
  double critical[5];  // 0: hard for every effective rank
};
constexpr TableRow table[] = {{1.2, {.90707, .87272, .85995, 0, 0}},
                              {1.5, {.86341, .80000, .77080, 0, 0}},
                              {2, {.82497, .73939, .69779, .60339, 0}},
                              {4, {.75265, .63456, .57724, .44382, .39265}},
                              {10, {.66505, .52120, .45521, .31075, .25815}}};

void claim_table(Reproduction& result) {
  Figure figure{
      .name = "phase_diagram",
      .title = "Where soft selection of features beats hard selection",
      .caption =
          "k equal task eigenvalues among p directions, n samples. Above a curve the best features for a minimum-norm "
          "learner are soft. Points: the reference table.",
      .x_label = "noise",
      .y_label = "critical effective rank k / n",
      .logarithmic_x = true};
  for (const TableRow& row : table) {
    const std::string name = fmt::format("p/n {}", row.dimensions);
    Series line = Series::line(name), points = Series::points(name + ": table");
    for (const double noise : logarithmic_steps(.01, 1, 1.04)) {
      const auto range = theory::soft_range(row.dimensions, noise);
      if (!range) break;
      line.add(noise, range->low);
    }
    for (std::size_t i = 0; i < std::size(table_noises); ++i) {
      const auto range = theory::soft_range(row.dimensions, table_noises[i]);
      const std::string claim =
          fmt::format("critical effective rank, p/n {}, noise {}", row.dimensions, table_noises[i]);
      result.claims.push_back(
          {row.critical[i] > 0 ? claim : claim + " (0: hard always)", row.critical[i], range ? range->low : 0, .5e-5});
      if (row.critical[i] == 0) continue;
      points.add(table_noises[i], row.critical[i]);
    }
    figure.series.push_back(line);
    figure.series.push_back(points);
  }
  result.figures.push_back(figure);
}

constexpr double divergence_noise = .1;

/// 100 strong directions and 200 weak ones.
std::vector<double> divergent_tasks(double weak_energy) { return theory::spectrum({100, 200, 1, weak_energy}); }

double divergent_risk(double weak_energy, double samples) {
  return theory::ground_truth_risk(divergent_tasks(weak_energy), divergence_noise, samples);
}

/// The reference's heights, to the digits that it has.
void claim_heights(Reproduction& result) {
  const std::pair<double, double> first_peak[] = {
      {.1, .5847}, {.01, .6805}, {.001, 1.6890}, {1e-4, 5.0853}, {1e-6, 50.076}};
  for (const auto& [energy, expected] : first_peak) {
    result.claims.push_back({fmt::format("ground truth, weak energy {}: R at n = r1 = 100", energy), expected,
                             divergent_risk(energy, 100), expected > 10 ? 5e-4 : 5e-5});
  }
  result.claims.push_back(
      {"ground truth: R at n = 299, below the second peak", 30.05, divergent_risk(.001, 299), 5e-3});
  result.claims.push_back({"ground truth: R at n = 301, above the second peak", 30.1, divergent_risk(.001, 301), 5e-4});
  result.claims.push_back({"ground truth: R at n = 600", .2, divergent_risk(.001, 600), 5e-5});
}

/// The reference's values of the optima along n.
void claim_power_law(Reproduction& result, const std::vector<double>& tasks, double noise) {
  struct Row {
    double samples, soft, hard, ground_truth;
    int rank;  // 0: not known
  };
  const Row rows[] = {{50, .300119, .373947, .317177, 14},
                      {100, .252564, .290341, 0, 0},
                      {200, .264377, .229623, .296058, 49},
                      {300, .433110, .202212, .472429, 0}};
  for (const Row& row : rows) {
    const std::string at = fmt::format("power law 1.5, n {}", row.samples);
    const auto hard = solvers::hard_optimum(tasks, noise, row.samples);
    result.claims.push_back(
        {at + ": soft optimum", row.soft, solvers::soft_optimum(tasks, noise, row.samples).risk, 5e-7});
    result.claims.push_back({at + ": hard optimum", row.hard, hard.risk, 5e-7});
    if (row.rank > 0) {
      result.claims.push_back(
          {at + ": directions of the hard optimum", static_cast<double>(row.rank), static_cast<double>(hard.rank), 0});
    }
    if (row.ground_truth > 0) {
      result.claims.push_back(
          {at + ": ground truth", row.ground_truth, theory::ground_truth_risk(tasks, noise, row.samples), 5e-7});
    }
  }
}

}  // namespace

void divergence(Reproduction& result, const RunOptions& options) {
  claim_heights(result);
  std::vector<double> samples = steps(20, 600, 2);
  std::replace(samples.begin(), samples.end(), 300.0, 300.5);  // infinite at 300
  Figure figure{
      .name = "double_divergence",
      .title = "The ground-truth features diverge twice",
      .caption =
          "100 strong and 200 weak directions, noise 0.1, minimum norm. Lines: the formula. Points: draws of a larger "
          "problem with the same ratios, two standard errors. The best features for a minimum-norm learner have no "
          "peak.",
      .x_label = "samples n",
      .y_label = "total test error",
      .logarithmic_y = true};
  for (const double energy : {.1, .001, 1e-6}) {
    figure.series.push_back(
        curve(fmt::format("weak energy {}", energy), samples, [&](double n) { return divergent_risk(energy, n); }));
  }
  figure.series.push_back(curve("best features, weak energy 0.001", samples, [&](double n) {
    return solvers::minimum_norm_optimum(divergent_tasks(.001), divergence_noise, n).risk;
  }));
  const auto at = peaks(samples, figure.series[1].y);
  result.claims.push_back(
      {"ground truth, weak energy 0.001: number of peaks of the curve", 2, static_cast<double>(at.size()), 0});
  result.claims.push_back(
      {"ground truth, weak energy 0.001: the first peak is at n = r1", 100, at.empty() ? 0 : at.front(), 0});
  result.claims.push_back(
      {"ground truth, weak energy 0.001: the second peak is at n = r1 + r2", 300, at.empty() ? 0 : at.back(), 1});
  const auto optimum = peaks(samples, figure.series[3].y);
  result.claims.push_back(
      {"best features, weak energy 0.001: number of peaks", 0, static_cast<double>(optimum.size()), 0});
  options.progress(.2, "double divergence");
  // Beside the thresholds finite problems lie above the formula, by about 1 / (distance in samples); the draws are of
  // a larger problem with the same ratios, and keep away.
  const bool full = options.full();
  const int scale = full ? 4 : 2;
  const auto large = theory::spectrum({100 * scale, 200 * scale, 1, .001});
  std::vector<std::int64_t> drawn = {40, 60, 100, 150, 180, 420, 500};
  for (std::int64_t& n : drawn) n *= scale;
  Series draws =
      simulated(result, "weak energy 0.001: draws",
                fmt::format("ground truth, weak energy 0.001, {} and {} directions", 100 * scale, 200 * scale), large,
                large, divergence_noise, drawn, 24, options);
  for (double& n : draws.x) n /= scale;
  figure.series.push_back(draws);
  result.figures.push_back(figure);
}

void phases(Reproduction& result, const RunOptions& options) {
  claim_table(result);
  constexpr double noise = .1;
  const auto tasks = power_tasks(400, 1.5);
  claim_power_law(result, tasks, noise);
  const std::vector<double> samples = steps(20, 392, 4);
  Figure figure{.name = "samples",
                .title = "The optima along the number of samples",
                .caption =
                    "Task eigenvalues i^-1.5, p = 400, noise 0.1. Between n = 100 and 200 the best minimum-norm "
                    "features turn from soft to hard. Points: draws, two standard errors.",
                .x_label = "samples n",
                .y_label = "total test error"};
  figure.series = {
      curve("bayes", samples, [&](double n) { return solvers::bayes_optimum(tasks, noise, n).risk; }),
      curve("soft", samples, [&](double n) { return std::min(.8, solvers::soft_optimum(tasks, noise, n).risk); }),
      curve("hard", samples, [&](double n) { return solvers::hard_optimum(tasks, noise, n).risk; }),
      curve("ground truth", samples,
            [&](double n) { return std::min(.8, theory::ground_truth_risk(tasks, noise, n)); })};
  options.progress(.3, "phases");
  const int draws = options.full() ? 60 : 24;
  const std::vector<std::int64_t> drawn = {50, 100, 200, 300};
  figure.series.push_back(simulated(result, "ground truth: draws", "power law 1.5, ground truth", tasks, tasks, noise,
                                    drawn, draws, options));
  Series soft_points = Series::points("soft: draws"), hard_points = Series::points("hard: draws");
  for (const std::int64_t n : drawn) {
    const auto soft = solvers::soft_optimum(tasks, noise, static_cast<double>(n)).spectrum;
    const auto hard = solvers::hard_optimum(tasks, noise, static_cast<double>(n)).spectrum;
    append(soft_points, simulated(result, "", "power law 1.5, soft", soft, tasks, noise, {n}, draws, options));
    append(hard_points, simulated(result, "", "power law 1.5, hard", hard, tasks, noise, {n}, draws, options));
  }
  figure.series.push_back(soft_points);
  figure.series.push_back(hard_points);
  result.figures.push_back(figure);
}

}  // namespace rtl::studies::optimal_features
