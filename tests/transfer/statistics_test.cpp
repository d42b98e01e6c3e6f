// Student's t, intervals and verdicts against tables and hand-worked cases.
#include "rtl/transfer/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "rtl/core/error.hpp"

namespace rtl::transfer {
namespace {

TEST(Statistics, QuantilesEqualTheTables) {
  struct Row {
    double degrees, p95, p975, p995;
  };
  // Standard tables of Student's t.
  const Row rows[] = {{1, 6.3138, 12.7062, 63.6567}, {2, 2.9200, 4.3027, 9.9248},  {4, 2.1318, 2.7764, 4.6041},
                      {9, 1.8331, 2.2622, 3.2498},   {19, 1.7291, 2.0930, 2.8609}, {30, 1.6973, 2.0423, 2.7500},
                      {120, 1.6577, 1.9799, 2.6174}, {1e6, 1.6449, 1.9600, 2.5758}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.degrees);
    EXPECT_NEAR(student_t_quantile(0.95, row.degrees), row.p95, 6e-5);
    EXPECT_NEAR(student_t_quantile(0.975, row.degrees), row.p975, 6e-5);
    EXPECT_NEAR(student_t_quantile(0.995, row.degrees), row.p995, 6e-5);
    EXPECT_NEAR(student_t_quantile(0.025, row.degrees), -row.p975, 6e-5);
  }
  EXPECT_EQ(student_t_quantile(0.5, 3), 0);
}

TEST(Statistics, OneAndTwoDegreesHaveClosedForms) {
  for (const double t : {-8.0, -1.0, -0.3, 0.0, 0.2, 1.7, 40.0}) {
    EXPECT_NEAR(student_t_cdf(t, 1), 0.5 + std::atan(t) / std::numbers::pi, 1e-13);
    EXPECT_NEAR(student_t_cdf(t, 2), 0.5 + t / (2 * std::sqrt(2 + t * t)), 1e-13);
  }
  for (const double p : {1e-6, 0.01, 0.3, 0.6, 0.99, 1 - 1e-6}) {
    EXPECT_NEAR(student_t_quantile(p, 1) / std::tan(std::numbers::pi * (p - 0.5)), 1, 1e-9);
  }
}

TEST(Statistics, QuantileInvertsTheDistribution) {
  for (const double degrees : {1.0, 2.5, 4.0, 17.0, 400.0}) {
    for (const double p : {0.001, 0.2, 0.7, 0.975, 0.9999}) {
      EXPECT_NEAR(student_t_cdf(student_t_quantile(p, degrees), degrees), p, 1e-12);
    }
  }
}

TEST(Statistics, IncompleteBetaKnownValues) {
  EXPECT_EQ(incomplete_beta(2, 3, 0), 0);
  EXPECT_EQ(incomplete_beta(2, 3, 1), 1);
  EXPECT_NEAR(incomplete_beta(1, 1, 0.3), 0.3, 1e-15);
  EXPECT_NEAR(incomplete_beta(2, 3, 0.4), 0.5248, 1e-13);  // sum of a binomial tail
  EXPECT_NEAR(incomplete_beta(0.5, 0.5, 0.5), 0.5, 1e-14);
  EXPECT_THROW(incomplete_beta(0, 1, 0.5), ValueError);
}

TEST(Statistics, SummaryUsesThePopulationDeviation) {
  const Summary summary = summarize(std::vector<double>{1, 2, 3, 4});
  EXPECT_EQ(summary.mean, 2.5);
  EXPECT_NEAR(summary.std, std::sqrt(1.25), 1e-15);
  EXPECT_THROW(summarize(std::vector<double>{}), ValueError);
}

TEST(Statistics, IntervalWorkedByHand) {
  // Differences 1..5 percent: mean 3, sample deviation sqrt(2.5), t(4) = 2.776445.
  const Interval interval = t_interval(std::vector<double>{0.01, 0.02, 0.03, 0.04, 0.05});
  const double half = 2.776445105 * std::sqrt(2.5 / 5) / 100;
  EXPECT_NEAR(interval.mean, 0.03, 1e-15);
  EXPECT_NEAR(interval.low, 0.03 - half, 1e-10);
  EXPECT_NEAR(interval.high, 0.03 + half, 1e-10);
  EXPECT_EQ(judge(interval), Verdict::helps);
}

TEST(Statistics, OneValueDecidesNothing) {
  const Interval interval = t_interval(std::vector<double>{0.4});
  EXPECT_EQ(interval.mean, 0.4);
  EXPECT_EQ(interval.low, -1);
  EXPECT_EQ(interval.high, 1);
  EXPECT_EQ(judge(interval), Verdict::undecided);
}

TEST(Statistics, LimitsStayInTheRange) {
  const Interval interval = t_interval(std::vector<double>{-0.9, 0.9});
  EXPECT_EQ(interval.low, -1);
  EXPECT_EQ(interval.high, 1);
}

TEST(Statistics, VerdictComesFromTheIntervalAlone) {
  EXPECT_EQ(judge({0.1, 0.01, 0.2}), Verdict::helps);
  EXPECT_EQ(judge({-0.1, -0.2, -0.01}), Verdict::hurts);
  EXPECT_EQ(judge({0.1, 0.0, 0.2}), Verdict::undecided);
  EXPECT_EQ(judge({-0.1, -0.2, 0.0}), Verdict::undecided);
  EXPECT_EQ(judge({0.0, 0.0, 0.0}), Verdict::undecided);
  EXPECT_EQ(to_string(Verdict::hurts), "hurts");
}

}  // namespace
}  // namespace rtl::transfer
