// Weights and temperatures of outputs from rows left out, against their definitions.
#include "transfer/read_out_weights.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/random.hpp"

namespace rtl::transfer::detail {
namespace {

std::vector<std::vector<double>> random_columns(std::uint64_t seed, std::size_t columns, std::size_t rows) {
  RandomSequence random(seed, 5);
  std::vector<std::vector<double>> all(columns, std::vector<double>(rows));
  for (auto& column : all) {
    for (double& value : column) value = random.uniform();
  }
  return all;
}

TEST(MixtureWeights, AreAMaximumOfThePenalisedLikelihood) {
  for (const double count : {0.5, 5.0}) {
    const auto p = random_columns(3, 3, 40);
    const std::vector<double> w = mixture_weights(p, count);
    EXPECT_NEAR(w[0] + w[1] + w[2], 1, 1e-12);
    const auto likelihood = [&](const std::vector<double>& weights) {
      double sum = 0;
      for (std::size_t i = 0; i < p[0].size(); ++i) {
        sum += std::log(weights[0] * p[0][i] + weights[1] * p[1][i] + weights[2] * p[2][i]);
      }
      for (const double weight : weights) sum += count * std::log(weight);
      return sum;
    };
    const double best = likelihood(w);
    for (std::size_t from = 0; from < 3; ++from) {  // concave: no step along an edge may gain
      for (std::size_t to = 0; to < 3; ++to) {
        if (from == to) continue;
        std::vector<double> other = w;
        const double step = 0.05 * w[from];
        other[from] -= step;
        other[to] += step;
        EXPECT_LT(likelihood(other), best) << from << " to " << to;
      }
    }
  }
}

TEST(MixtureWeights, KeepAFloor) {
  std::vector<std::vector<double>> p(2, std::vector<double>(30, 0.9));
  for (double& value : p[1]) value = 1e-9;
  const std::vector<double> w = mixture_weights(p, 5);
  EXPECT_NEAR(w[1], 5.0 / 40.0, 1e-6);  // count / (n + 2 count)
}

TEST(SimplexWeights, NoPointOfAGridIsBetter) {
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    const auto columns = random_columns(seed, 3, 12);
    const std::vector<double> y = random_columns(seed + 100, 1, 12).front();
    const auto error = [&](double a, double b, double c) {
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        sum += std::pow(y[i] - a * columns[0][i] - b * columns[1][i] - c * columns[2][i], 2);
      }
      return sum;
    };
    const std::vector<double> w = simplex_weights(columns, y);
    EXPECT_NEAR(w[0] + w[1] + w[2], 1, 1e-12);
    const double found = error(w[0], w[1], w[2]);
    for (int i = 0; i <= 50; ++i) {
      for (int j = 0; i + j <= 50; ++j) {
        EXPECT_GE(error(i / 50.0, j / 50.0, (50 - i - j) / 50.0), found * (1 - 1e-9)) << seed;
      }
    }
  }
}

TEST(SimplexWeights, EqualColumnsAndOnesThatAreRight) {
  const auto y = random_columns(9, 1, 10).front();
  const std::vector<double> equal = simplex_weights({y, y}, y);
  EXPECT_NEAR(equal[0] + equal[1], 1, 1e-12);
  const auto wrong = random_columns(10, 1, 10).front();
  const std::vector<double> right = simplex_weights({wrong, y}, y);
  EXPECT_NEAR(right[1], 1, 1e-6);
}

TEST(CalibratedTemperature, NoValueOfAGridIsBetter) {
  RandomSequence random(4, 6);
  constexpr std::size_t rows = 60, classes = 3;
  std::vector<double> scores;
  std::vector<std::int32_t> labels;
  const std::vector<double> base{std::log(0.2), std::log(0.3), std::log(0.5)};
  for (std::size_t i = 0; i < rows; ++i) {
    labels.push_back(static_cast<std::int32_t>(random.below(classes)));
    for (std::size_t c = 0; c < classes; ++c) {
      scores.push_back(0.3 * random.normal() + (c == static_cast<std::size_t>(labels.back()) ? 0.4 : 0.0));
    }
  }
  std::vector<double> count(classes);
  for (const std::int32_t label : labels) count[static_cast<std::size_t>(label)] += 1;
  const auto loss = [&](double t) {
    double sum = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      double all = 0;
      for (std::size_t c = 0; c < classes; ++c) all += std::exp(base[c] + t * scores[i * classes + c]);
      const auto own = static_cast<std::size_t>(labels[i]);
      const double belief = (count[own] + 1) / (count[own] + 2);
      for (std::size_t c = 0; c < classes; ++c) {
        const double wanted = c == own ? belief : (1 - belief) / static_cast<double>(classes - 1);
        sum += wanted * (std::log(all) - base[c] - t * scores[i * classes + c]);
      }
    }
    return sum;
  };
  const double best = calibrated_temperature(base, scores, labels, 1000);
  EXPECT_GT(best, 0);
  for (double t = 0; t < 20; t += 0.01) EXPECT_LE(loss(best), loss(t) + 1e-9) << t;
  std::vector<double> opposite = scores;
  for (double& score : opposite) score = -score;
  EXPECT_EQ(calibrated_temperature(base, opposite, labels, 1000), 0);
}

/// Platt's rule for two classes of m rows each, told apart by a score of 1: the logit's distance is log (m + 1).
TEST(CalibratedTemperature, IsFiniteWhereTheScoresSeparateTheRows) {
  const std::vector<double> base{std::log(0.5), std::log(0.5)};
  for (const int each : {1, 10, 100}) {
    std::vector<double> scores;
    std::vector<std::int32_t> labels;
    for (int i = 0; i < 2 * each; ++i) {
      labels.push_back(i % 2);
      scores.insert(scores.end(), {i % 2 == 0 ? 0.5 : -0.5, i % 2 == 0 ? -0.5 : 0.5});
    }
    EXPECT_NEAR(calibrated_temperature(base, scores, labels, 1000), std::log(each + 1.0), 1e-6);
  }
}

TEST(Weigh, LossesDifferencesAndTemperatures) {
  const Task task{.regression = false, .outputs = 2};
  const RowTargets rows{task, {0, 1, 0, 1}, {}, {}};
  // The first is sure and half of the time wrong, the second is right and sure.
  const std::vector<float> wrong{8, 0, 8, 0, 8, 0, 8, 0}, right{3, 0, 0, 3, 3, 0, 0, 3};
  const std::vector<ReadOut> found = weigh(rows, {{"a", wrong}, {"b", right}, {"c", wrong}}, {1, 1});
  EXPECT_EQ(found[0].name, "a");
  EXPECT_EQ(found[1].temperature, 1);
  EXPECT_NEAR(found[1].loss, std::log1p(std::exp(-3.0)), 1e-6);
  EXPECT_EQ(found[0].temperature, 0.02);  // the least that there is: its best is none at all
  const double sure = std::log1p(std::exp(-0.16)), not_sure = sure + 0.16;
  EXPECT_NEAR(found[0].loss, 0.5 * (sure + not_sure), 1e-6);
  EXPECT_NEAR(found[0].difference, found[0].loss - found[1].loss, 1e-12);
  EXPECT_NEAR(found[0].standard_error, 0.08 / std::sqrt(3.0), 1e-6);  // differences to the mean: +-0.08
  EXPECT_EQ(found[1].difference, 0);
  // Worse than the network alone, and no better than the shares of the classes: the count of 1 row in 4 + 3.
  EXPECT_NEAR(found[0].weight, 1.0 / 7, 1e-12);
  EXPECT_NEAR(found[2].weight, 1.0 / 7, 1e-12);
  EXPECT_NEAR(weigh(rows, {{"a", right}, {"b", right}, {"c", right}}, {1, 1})[2].weight, 1.0 / 3, 1e-12);
}

TEST(Weigh, RealTargetsLeaveOutWhatIsOfNoUse) {
  const Task task{.regression = true, .outputs = 1, .mean = {0}, .deviation = {1}};
  const RowTargets rows{task, {}, {1, -1, 2, -2, 0.5F}, {}};
  const std::vector<float> near{1.1F, -0.9F, 2.1F, -2.1F, 0.4F}, noise{1, 1, -1, 1, -1};
  const std::vector<ReadOut> found = weigh(rows, {{"a", noise}, {"b", near}, {"c", noise}}, {5, 1});
  EXPECT_EQ(found[0].weight, 0);
  EXPECT_EQ(found[1].weight, 1);
  EXPECT_EQ(found[2].weight, 0);
}

}  // namespace
}  // namespace rtl::transfer::detail
