// Optimal features for scarce downstream data: Li, Sen and Adlam (2024), arXiv 2404.12481.
#include "studies/study.hpp"

#include <cmath>

#include "rtl/theory/simulation.hpp"
#include "studies/draws.hpp"
#include "studies/optimal_features/parts.hpp"

namespace rtl::studies::optimal_features {

std::vector<double> power_tasks(std::int64_t count, double exponent) {
  const auto inputs = theory::Covariance::power_law(count, exponent);
  const auto law = inputs.eigenvalues();
  std::vector<double> tasks(law.begin(), law.end());
  for (double& task : tasks) task /= static_cast<double>(count);
  return tasks;
}

std::vector<double> orthonormal_rows(std::int64_t count, std::int64_t p, std::uint64_t seed) {
  std::vector<double> rows = theory::standard_normals(seed, 400, count * p);
  for (std::int64_t i = 0; i < count; ++i) {
    double* row = rows.data() + i * p;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t k = 0; k < i; ++k) {
        const double* other = rows.data() + k * p;
        double along = 0;
        for (std::int64_t j = 0; j < p; ++j) along += row[j] * other[j];
        for (std::int64_t j = 0; j < p; ++j) row[j] -= along * other[j];
      }
    }
    double square = 0;
    for (std::int64_t j = 0; j < p; ++j) square += row[j] * row[j];
    for (std::int64_t j = 0; j < p; ++j) row[j] /= std::sqrt(square);
  }
  return rows;
}

Tensor combine(const std::vector<double>& rows, const std::vector<double>& values, std::int64_t p) {
  std::vector<double> sum(static_cast<std::size_t>(p * p), 0.0);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double* row = rows.data() + static_cast<std::int64_t>(k) * p;
    for (std::int64_t i = 0; i < p; ++i) {
      for (std::int64_t j = 0; j < p; ++j) sum[static_cast<std::size_t>(i * p + j)] += values[k] * (row[i] * row[j]);
    }
  }
  return Tensor::from(sum, {p, p}, Device::cpu());
}

std::vector<theory::FeatureDraw> draw(const theory::FeatureSimulation& simulation, int count,
                                      const RunOptions& options) {
  return simulate_draws(
      count, [&](std::int64_t i) { return simulation.draw(options.seed * 1'000'000 + static_cast<std::uint64_t>(i)); },
      [](double) {});
}

namespace {

class OptimalFeaturesRun final : public Run {
 public:
  Reproduction run(const RunOptions& options) override {
    Reproduction result{.title = "Optimal features for scarce downstream data"};
    result.protocol = {
        {"risk", "expected total squared test error of ridge regression on features, averaged over tasks"},
        {"draws", "Gaussian inputs; a draw averages exactly over tasks and noise, given two independent input samples"},
        {"penalties", "per sample; minimum norm means penalty 0"}};
    const bool full = options.full();
    run_parts({{"divergence", full ? 4.0 : 1.0, divergence},
               {"phases", full ? 4.0 : 1.0, phases},
               {"decomposition", full ? 8.0 : 2.0, decomposition},
               {"descent", 1, descent},
               {"learning", full ? 20.0 : 3.0, learning}},
              options, result);
    return result;
  }
};

}  // namespace

const Study& study() {
  static const Study one{.name = "optimal-features",
                         .summary = "Optimal features for scarce downstream data (Li, Sen and Adlam 2024)",
                         .parts = {"divergence", "phases", "decomposition", "descent", "learning"},
                         .quick = "under a minute on two cores",
                         .full = "every curve, more draws: under 15 minutes on two cores",
                         .begin = [] { return std::make_unique<OptimalFeaturesRun>(); }};
  return one;
}

}  // namespace rtl::studies::optimal_features
