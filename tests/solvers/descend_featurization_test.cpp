#include "rtl/solvers/descend_featurization.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/solvers/featurization.hpp"
#include "solvers/dense_reference.hpp"
#include "support/random_case.hpp"

namespace rtl::solvers {
namespace {

using test::RandomCase;

Tensor random_tensor(RandomCase& random, std::int64_t rows, std::int64_t columns) {
  return Tensor::from(random.normal(rows * columns), {rows, columns}, Device::cpu());
}

Tensor random_covariance(RandomCase& random, std::int64_t p) {
  return test::matrix(random.rotation(p), random.spectrum(static_cast<std::size_t>(p)));
}

/// Compares a gradient with central differences along every entry.
template <typename Function>
void expect_gradient(const Tensor& point, const Tensor& gradient, const Function& risk) {
  const auto values = point.to_vector<double>(), slopes = gradient.to_vector<double>();
  double largest = 0;
  for (const double slope : slopes) largest = std::max(largest, std::abs(slope));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double step = 1e-5;
    auto moved = values;
    moved[i] = values[i] + step;
    const double above = risk(Tensor::from(moved, point.shape(), Device::cpu()));
    moved[i] = values[i] - step;
    const double below = risk(Tensor::from(moved, point.shape(), Device::cpu()));
    EXPECT_NEAR(slopes[i], (above - below) / (2 * step), 1e-6 * largest) << RandomCase::trace();
  }
}

TEST(DescendFeaturization, TheGradientIsThatOfFiniteDifferences) {
  RandomCase random(71);
  const std::int64_t p = 8;
  const Tensor sigma = random_covariance(random, p), omega = random_covariance(random, p);
  for (const double penalty : {0.0, 0.07}) {
    for (const std::int64_t q : {8, 5}) {
      const Tensor start = random_tensor(random, p, q);
      const RiskGradient at = featurization_gradient(sigma, omega, start, 0.3, penalty, 4);
      expect_gradient(start, at.gradient, [&](const Tensor& moved) {
        return featurization_gradient(sigma, omega, moved, 0.3, penalty, 4).risk;
      });
    }
  }
}

TEST(DescendFeaturization, WithoutPenaltyTheScaleDoesNotMatter) {
  RandomCase random(72);
  const Tensor sigma = random_covariance(random, 8), omega = random_covariance(random, 8);
  const Tensor start = random_tensor(random, 8, 8);
  const auto slope = featurization_gradient(sigma, omega, start, 0.3, 0, 4).gradient.to_vector<double>();
  const auto point = start.to_vector<double>();
  double radial = 0, size = 0;
  for (std::size_t i = 0; i < point.size(); ++i) {
    radial += slope[i] * point[i];
    size += std::abs(slope[i] * point[i]);
  }
  EXPECT_NEAR(radial, 0, 1e-10 * size) << RandomCase::trace();
}

TEST(DescendFeaturization, ReachesTheClosedForms) {
  RandomCase random(73);
  const std::int64_t p = 40;
  const double samples = 20, noise = 0.1;
  const Tensor sigma = random_covariance(random, p), omega = random_covariance(random, p);
  const Tensor start = random_tensor(random, p, p);
  const double soft = optimal_featurization(sigma, omega, noise, samples, {.goal = FeatureGoal::soft}).optimum.risk;
  const double bayes = optimal_featurization(sigma, omega, noise, samples).optimum.risk;
  const Descent free = descend_featurization(sigma, omega, start, noise, 0, samples, {.iterations = 500});
  EXPECT_GE(free.risks.back(), soft * (1 - 1e-10));
  EXPECT_LE(free.risks.back(), soft * (1 + 1e-6)) << RandomCase::trace();
  const Descent ridge = descend_featurization(sigma, omega, start, noise, 0.02, samples, {.iterations = 5000});
  EXPECT_GE(ridge.risks.back(), bayes * (1 - 1e-10));
  EXPECT_LE(ridge.risks.back(), bayes * (1 + 1e-6)) << RandomCase::trace();
  EXPECT_TRUE(std::is_sorted(free.risks.rbegin(), free.risks.rend()));
  EXPECT_EQ(free.map.facts().expected_risk, free.risks.back());
}

TEST(DescendFeaturization, KeepsToItsConstraint) {
  RandomCase random(74);
  const std::int64_t p = 10;
  const Tensor sigma = random_covariance(random, p), omega = random_covariance(random, p);
  const FeatureConstraint diagonal = [p](View matrix) {
    double* values = matrix.data_as<double>();
    for (std::int64_t i = 0; i < p * p; ++i) values[i] = i % (p + 1) == 0 ? values[i] : 0;
  };
  const Descent descent = descend_featurization(sigma, omega, random_tensor(random, p, p), 0.2, 0.02, 5,
                                                {.iterations = 2000, .constraint = diagonal});
  const auto values = descent.map.matrix().to_vector<double>();
  for (std::int64_t i = 0; i < p * p; ++i) {
    EXPECT_EQ(values[static_cast<std::size_t>(i)] != 0, i % (p + 1) == 0);
  }
  EXPECT_LT(descent.map.facts().expected_risk, descent.risks.front());
  EXPECT_GE(descent.map.facts().expected_risk, optimal_featurization(sigma, omega, 0.2, 5).optimum.risk);
  // At the end no single entry can be improved by much.
  for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(p) + 1) {
    for (const double factor : {0.95, 1.05}) {
      auto moved = values;
      moved[i] *= factor;
      const Tensor other = Tensor::from(moved, {p, p}, Device::cpu());
      EXPECT_GE(featurization_gradient(sigma, omega, other, 0.2, 0.02, 5).risk,
                descent.map.facts().expected_risk * (1 - 2e-3))
          << RandomCase::trace();
    }
  }
}

struct EpisodeTensors {
  Tensor x, y, validation_x, validation_y;
  Episode view() const { return {x, y, validation_x, validation_y}; }
};

EpisodeTensors random_episode(RandomCase& random, std::int64_t p, std::int64_t n, std::int64_t m) {
  EpisodeTensors episode{random_tensor(random, n, p), Tensor(), random_tensor(random, m, p), Tensor()};
  const auto w = random.normal(2);  // tasks live in the first two of p directions
  const auto targets = [&](const Tensor& x, std::int64_t rows) {
    const auto inputs = x.to_vector<double>();
    auto y = random.normal(rows);
    for (std::int64_t i = 0; i < rows; ++i) y[i] = 0.3 * y[i] + w[0] * inputs[i * p] + w[1] * inputs[i * p + 1];
    return Tensor::from(y, {rows}, Device::cpu());
  };
  episode.y = targets(episode.x, n);
  episode.validation_y = targets(episode.validation_x, m);
  return episode;
}

TEST(DescendEpisodes, TheGradientIsThatOfFiniteDifferences) {
  RandomCase random(75);
  for (const std::int64_t q : {2, 7, 9}) {
    const EpisodeTensors episode = random_episode(random, 7, 5, 6);
    const Tensor start = random_tensor(random, 7, q);
    const RiskGradient at = episode_gradient(start, episode.view(), 0.2);
    expect_gradient(start, at.gradient,
                    [&](const Tensor& moved) { return episode_gradient(moved, episode.view(), 0.2).risk; });
  }
}

TEST(DescendEpisodes, LearnsWhereTheTasksLie) {
  RandomCase random(76);
  const std::int64_t p = 20;
  std::vector<EpisodeTensors> tensors;
  std::vector<Episode> episodes;
  for (int i = 0; i < 60; ++i) tensors.push_back(random_episode(random, p, 10, 10));
  for (const auto& episode : tensors) episodes.push_back(episode.view());
  const Tensor start = test::tensor(test::scaled_identity(static_cast<std::size_t>(p), 1));
  const Descent descent = descend_episodes(episodes, start, 0.1, {.passes = 30, .learning_rate = 0.02, .seed = 5});
  EXPECT_LT(descent.risks.back(), 0.5 * descent.risks.front()) << RandomCase::trace();
  double before = 0, after = 0;
  for (int i = 0; i < 40; ++i) {
    const EpisodeTensors fresh = random_episode(random, p, 10, 10);
    before += episode_gradient(start, fresh.view(), 0.1).risk;
    after += episode_gradient(descent.map.matrix(), fresh.view(), 0.1).risk;
  }
  EXPECT_LT(after, 0.7 * before) << RandomCase::trace();
  const Descent again = descend_episodes(episodes, start, 0.1, {.passes = 30, .learning_rate = 0.02, .seed = 5});
  EXPECT_EQ(again.map.matrix().to_vector<double>(), descent.map.matrix().to_vector<double>());
}

TEST(Minimax, ClosesItsGap) {
  RandomCase random(77);
  const std::int64_t p = 30;
  const Tensor sigma = test::tensor(test::scaled_identity(static_cast<std::size_t>(p), 1));
  std::vector<Tensor> kinds;
  for (int j = 0; j < 4; ++j) {
    std::vector<double> energies(static_cast<std::size_t>(p), 0.0);
    for (int i = 0; i < 3; ++i) energies[static_cast<std::size_t>(i)] = 1.0 / 3;
    kinds.push_back(test::matrix(random.rotation(p), energies));
  }
  const std::vector<ConstView> views(kinds.begin(), kinds.end());
  const Minimax minimax = minimax_featurization(sigma, views, 0.1, 15, 400);
  EXPECT_GE(minimax.worst_risk, minimax.lower_bound * (1 - 1e-12));
  EXPECT_LE(minimax.worst_risk - minimax.lower_bound, 1e-3 * minimax.worst_risk) << RandomCase::trace();
  double worst = 0, sum = 0;
  for (const ConstView& kind : views) {
    worst = std::max(worst, featurization_gradient(sigma, kind, minimax.map.matrix(), 0.1, 0.1 / 15, 15).risk);
  }
  for (const double weight : minimax.weights) sum += weight;
  EXPECT_NEAR(worst, minimax.worst_risk, 1e-9 * worst);
  EXPECT_NEAR(sum, 1, 1e-12);
  const Minimax one = minimax_featurization(sigma, std::vector<ConstView>{views[0]}, 0.1, 15);
  EXPECT_NEAR(one.worst_risk, one.lower_bound, 1e-9);
}

TEST(DescendFeaturization, RefusesBadArguments) {
  RandomCase random(78);
  const Tensor sigma = random_covariance(random, 6), omega = random_covariance(random, 6);
  const Tensor start = random_tensor(random, 6, 6), narrow = random_tensor(random, 6, 4);
  EXPECT_THROW(featurization_gradient(sigma, omega, narrow, 0.1, 0, 4), ValueError) << "no more features than samples";
  EXPECT_NO_THROW(featurization_gradient(sigma, omega, narrow, 0.1, 0.01, 4));
  EXPECT_THROW(featurization_gradient(sigma, omega, start, -0.1, 0, 4), ValueError);
  EXPECT_THROW(featurization_gradient(sigma, omega, start, 0.1, -1, 4), ValueError);
  EXPECT_THROW(featurization_gradient(sigma, omega, random_tensor(random, 5, 6), 0.1, 0, 4), ShapeError);
  EXPECT_THROW(descend_featurization(sigma, omega, start, 0.1, 0, 4, {.iterations = 0}), ValueError);
  const EpisodeTensors episode = random_episode(random, 6, 4, 4);
  EXPECT_THROW(episode_gradient(start, episode.view(), 0), ValueError);
  EXPECT_THROW(episode_gradient(random_tensor(random, 5, 6), episode.view(), 1), ShapeError);
  EXPECT_THROW(descend_episodes({}, start, 1), ValueError);
  EXPECT_THROW(minimax_featurization(sigma, {}, 0.1, 4), ValueError);
  EXPECT_THROW(minimax_featurization(sigma, std::vector<ConstView>{omega}, 0.1, 4, 10, NAN), ValueError);
}

}  // namespace
}  // namespace rtl::solvers
