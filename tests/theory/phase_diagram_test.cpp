// The phase transition and the double divergence against the tables of an independent computation,
// and against the discrete formulas.
#include "rtl/theory/phase_diagram.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "rtl/theory/double_divergence.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "support/random_case.hpp"

namespace rtl::theory {
namespace {

TEST(PhaseDiagram, AgreesWithTheTableToFiveDigits) {
  const double noises[] = {.01, .05, .1, .5, 1};
  struct Row {
    double dimensions;
    double critical[5];  // 0: hard always
  };
  const Row rows[] = {{1.2, {.90707, .87272, .85995, 0, 0}},
                      {1.5, {.86341, .80000, .77080, 0, 0}},
                      {2, {.82497, .73939, .69779, .60339, 0}},
                      {4, {.75265, .63456, .57724, .44382, .39265}},
                      {10, {.66505, .52120, .45521, .31075, .25815}}};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < 5; ++i) {
      const auto range = soft_range(row.dimensions, noises[i]);
      EXPECT_EQ(range.has_value(), row.critical[i] > 0) << row.dimensions << ", " << noises[i];
      EXPECT_NEAR(range ? range->low : 0, row.critical[i], 0.5e-5) << row.dimensions << ", " << noises[i];
    }
  }
}

TEST(PhaseDiagram, GivesTheContinuumValues) {
  EXPECT_NEAR(equal_tasks_bayes_risk(.5, .1), .184428877, 1e-9);
  EXPECT_NEAR(equal_tasks_soft_risk(.5, 2, .1), .278232998, 1e-9);
  EXPECT_NEAR(equal_tasks_hard_risk(.5, .1), .2, 1e-12);
  EXPECT_NEAR(equal_tasks_bayes_risk(.5, .5), .780776406, 1e-9);
  EXPECT_NEAR(equal_tasks_soft_risk(.5, 4, .5), .926239754, 1e-9);
  EXPECT_NEAR(equal_tasks_hard_risk(.5, .5), 1, 1e-12);
  EXPECT_NEAR(equal_tasks_bayes_risk(1.2, .1), .451313067, 1e-9);
  EXPECT_NEAR(equal_tasks_soft_risk(1.2, 4, .1), .466666667, 1e-9);
  EXPECT_NEAR(equal_tasks_hard_risk(1.2, .1), 1.1, 1e-12);
}

TEST(PhaseDiagram, IsTheLimitOfEqualEigenvalues) {
  test::RandomCase random(21);
  for (int i = 0; i < 100; ++i) {
    const std::size_t n = random.whole(10, 60), p = random.whole(n + 1, 4 * n), k = random.whole(1, p);
    const double noise = random.logarithmic(0.01, 2), samples = static_cast<double>(n);
    std::vector<double> tasks(p, 0.0);
    for (std::size_t j = 0; j < k; ++j) tasks[j] = 1 / static_cast<double>(k);
    const double rank = static_cast<double>(k) / samples, dimensions = static_cast<double>(p) / samples;
    const double soft = soft_optimum(tasks, noise, samples).risk, hard = hard_optimum(tasks, noise, samples).risk;
    EXPECT_NEAR(equal_tasks_soft_risk(rank, dimensions, noise), soft, 1e-9 * soft) << test::RandomCase::trace();
    EXPECT_NEAR(equal_tasks_hard_risk(rank, noise), hard, 1e-9 * hard) << test::RandomCase::trace();
    const double bayes = bayes_optimum(tasks, noise, samples).risk;
    EXPECT_NEAR(equal_tasks_bayes_risk(rank, noise), bayes, 1e-9 * bayes) << test::RandomCase::trace();
  }
}

TEST(PhaseDiagram, SoftWinsInItsRangeAndNowhereElse) {
  test::RandomCase random(22);
  for (int i = 0; i < 300; ++i) {
    const double dimensions = 1 + random.logarithmic(0.05, 20), noise = random.logarithmic(0.005, 3);
    const auto range = soft_range(dimensions, noise);
    for (int j = 0; j < 50; ++j) {
      const double rank = random.logarithmic(1e-3, dimensions);
      const double gap = equal_tasks_soft_risk(rank, dimensions, noise) - equal_tasks_hard_risk(rank, noise);
      if (std::abs(gap) < 1e-10) continue;
      EXPECT_EQ(gap < 0, range && range->low < rank && rank < range->high)
          << test::RandomCase::trace() << ": " << dimensions << ", " << noise << ", " << rank;
    }
    if (!range) continue;
    EXPECT_EQ(range->high<dimensions, noise>(dimensions - 1) / dimensions + 1e-12);
  }
}

TEST(PhaseDiagram, FollowsTheSamplesOfAPowerLaw) {
  std::vector<double> tasks(400);
  double sum = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) sum += tasks[i] = std::pow(static_cast<double>(i + 1), -1.5);
  for (double& task : tasks) task /= sum;
  EXPECT_NEAR(soft_optimum(tasks, .1, 50).risk, .300119, 5e-7);
  EXPECT_NEAR(hard_optimum(tasks, .1, 50).risk, .373947, 5e-7);
  EXPECT_EQ(hard_optimum(tasks, .1, 50).rank, 14);
  EXPECT_NEAR(bayes_optimum(tasks, .1, 50).risk, .293402, 5e-7);
  EXPECT_NEAR(ground_truth_risk(tasks, .1, 50), .317177, 5e-7);
  EXPECT_EQ(minimum_norm_optimum(tasks, .1, 100).phase, FeaturePhase::soft);
  EXPECT_NEAR(minimum_norm_optimum(tasks, .1, 100).risk, .252564, 5e-7);
  EXPECT_EQ(minimum_norm_optimum(tasks, .1, 200).phase, FeaturePhase::hard);
  EXPECT_NEAR(minimum_norm_optimum(tasks, .1, 200).risk, .229623, 5e-7);
  EXPECT_EQ(minimum_norm_optimum(tasks, .1, 200).rank, 49);
  EXPECT_NEAR(soft_optimum(tasks, .1, 200).risk, .264377, 5e-7);
  EXPECT_NEAR(ground_truth_risk(tasks, .1, 200), .296058, 5e-7);
  EXPECT_NEAR(hard_optimum(tasks, .1, 300).risk, .202212, 5e-7);
  EXPECT_NEAR(soft_optimum(tasks, .1, 300).risk, .433110, 5e-7);
  EXPECT_NEAR(ground_truth_risk(tasks, .1, 300), .472429, 5e-7);
  EXPECT_EQ(minimum_norm_optimum(tasks, .1, 500).phase, FeaturePhase::hard)
      << "soft needs more directions than samples";
}

TEST(DoubleDivergence, HasTheHeightsOfTheDigest) {
  const double noise = .1;
  const auto at = [&](double weak_energy, double samples) {
    return ground_truth_risk(spectrum({100, 200, 1, weak_energy}), noise, samples);
  };
  EXPECT_NEAR(at(.1, 100), .5847, 5e-5);
  EXPECT_NEAR(at(.01, 100), .6805, 5e-5);
  EXPECT_NEAR(at(.001, 100), 1.6890, 5e-5);
  EXPECT_NEAR(at(1e-4, 100), 5.0853, 5e-5);
  EXPECT_NEAR(at(1e-6, 100), 50.076, 5e-4);
  EXPECT_NEAR(at(.001, 299), 30.05, 5e-3);
  EXPECT_NEAR(at(.001, 301), 30.1, 1e-9);
  EXPECT_NEAR(at(1e-6, 150), .400, 5e-4);
  EXPECT_NEAR(at(.001, 600), .2, 1e-9);
  EXPECT_TRUE(std::isinf(at(.001, 300)));
  EXPECT_NEAR(first_peak_height({100, 200, 1, 1e-6}, noise), at(1e-6, 100), 0.01 * at(1e-6, 100));
  EXPECT_NEAR(second_peak_height({100, 200, 1, .001}, noise, 301), at(.001, 301), 1e-9);
  EXPECT_NEAR(second_peak_height({100, 200, 1, .001}, noise, 299), at(.001, 299), 0.01 * at(.001, 299));
}

TEST(DoubleDivergence, IsInTheInteractionAloneAndTheOptimaStayFinite) {
  const auto tasks = spectrum({100, 200, 1, 1e-4});
  for (const double samples : {299.999, 300.001}) {
    const FeaturizedRisk risk = featurized_risk(tasks, tasks, .1, 0, samples);
    EXPECT_GT(risk.interaction_variance, 1e4);
    EXPECT_LT(risk.input_variance, 1);
  }
  for (const double samples : {100.0, 300.0}) {
    EXPECT_LT(bayes_optimum(tasks, .1, samples).risk, 1);
    EXPECT_LT(minimum_norm_optimum(tasks, .1, samples).risk, 1.2);
  }
}

}  // namespace
}  // namespace rtl::theory
