#include "rtl/solvers/featurization.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "solvers/dense_reference.hpp"
#include "support/random_case.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::solvers {
namespace {

using test::RandomCase;
using test::Rows;

/// Sigma and Omega that do not commute.
struct Problem {
  explicit Problem(std::uint64_t stream, std::int64_t dimension = 21) : random(stream), p(dimension) {
    sigma = test::matrix(random.rotation(p), random.spectrum(static_cast<std::size_t>(p)));
    omega = test::matrix(random.rotation(p), random.spectrum(static_cast<std::size_t>(p)));
  }
  /// Expected risk of a map, by the theory's formula for its K and T.
  double risk(const FeatureMap& map, double noise, double penalty, double samples) const {
    const Rows root = test::power(test::rows(sigma), 0.5);
    const auto around = [&](const Rows& middle) {
      return theory::Covariance::dense(test::tensor(test::times(test::times(root, middle), root)));
    };
    return theory::featurized_risk(around(test::rows(map.metric())), around(test::rows(omega)), noise, penalty, samples)
        .risk;
  }

  RandomCase random;
  std::int64_t p;
  Tensor sigma;
  Tensor omega;
};

TEST(Featurization, BayesFeaturesAreTheTasks) {
  const Problem problem(31);
  const Featurization best = optimal_featurization(problem.sigma, problem.omega, 0.3, 12);
  EXPECT_EQ(best.map.facts().kind, "bayes");
  EXPECT_DOUBLE_EQ(best.map.facts().penalty, 0.3 / 12);
  test::expect_near(test::rows(best.map.metric()), test::rows(problem.omega), 1e-9);
  const double realised = problem.risk(best.map, 0.3, 0.3 / 12, 12);
  EXPECT_NEAR(realised, best.optimum.risk, 1e-9 * realised) << RandomCase::trace();
  EXPECT_TRUE(std::is_sorted(best.tasks.rbegin(), best.tasks.rend()));
}

TEST(Featurization, SoftFeaturesAreTheTasksAndAWhitenedFiller) {
  const Problem problem(32);
  const double noise = 0.3, samples = 12;
  const Featurization best =
      optimal_featurization(problem.sigma, problem.omega, noise, samples, {.goal = FeatureGoal::soft});
  const double filler = noise / (static_cast<double>(problem.p) - samples);
  Rows expected = test::power(test::rows(problem.sigma), -1);
  const Rows omega = test::rows(problem.omega);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (std::size_t j = 0; j < expected.size(); ++j) expected[i][j] = omega[i][j] + filler * expected[i][j];
  }
  test::expect_near(test::rows(best.map.metric()), expected, 1e-9);
  const double realised = problem.risk(best.map, noise, 0, samples);
  EXPECT_NEAR(realised, best.optimum.risk, 1e-8 * realised) << RandomCase::trace();
}

TEST(Featurization, HardFeaturesProject) {
  const Problem problem(33);
  const Featurization best = optimal_featurization(problem.sigma, problem.omega, 0.5, 15, {.goal = FeatureGoal::hard});
  ASSERT_GT(best.optimum.rank, 0);
  EXPECT_EQ(best.map.features(), best.optimum.rank);
  const double realised = problem.risk(best.map, 0.5, 0, 15);
  EXPECT_NEAR(realised, best.optimum.risk, 1e-9 * realised) << RandomCase::trace();
  const Featurization either =
      optimal_featurization(problem.sigma, problem.omega, 0.5, 15, {.goal = FeatureGoal::minimum_norm});
  EXPECT_LE(either.optimum.risk, best.optimum.risk);
}

TEST(Featurization, NoOtherMapIsBetter) {
  const Problem problem(34);
  RandomCase random(35);
  const double noise = 0.2, samples = 10;
  const double bayes = optimal_featurization(problem.sigma, problem.omega, noise, samples).optimum.risk;
  const Featurization best =
      optimal_featurization(problem.sigma, problem.omega, noise, samples, {.goal = FeatureGoal::minimum_norm});
  EXPECT_LE(bayes, best.optimum.risk);
  std::vector<FeatureMap> others;
  others.push_back(identity_features(problem.p));
  others.push_back(whitening(problem.sigma));
  for (std::int64_t rank = 1; rank < 10; ++rank) others.push_back(principal_components(problem.sigma, rank));
  others.push_back(FeatureMap(Tensor::from(random.normal(problem.p * 14), {problem.p, 14}, Device::cpu()), {}));
  for (const FeatureMap& other : others) {
    EXPECT_GE(problem.risk(other, noise, 0, samples), best.optimum.risk * (1 - 1e-9)) << other.facts().kind;
    EXPECT_GE(problem.risk(other, noise, 0.05, samples), bayes * (1 - 1e-9)) << other.facts().kind;
  }
}

TEST(Featurization, LimitedRankTakesTheStrongestDirections) {
  const Problem problem(36);
  const double noise = 0.2, samples = 8;
  double last = std::numeric_limits<double>::infinity();
  for (const std::int64_t rank : {9, 12, 21}) {
    const Featurization soft = optimal_featurization(problem.sigma, problem.omega, noise, samples,
                                                     {.goal = FeatureGoal::soft, .max_rank = rank});
    EXPECT_EQ(soft.map.features(), rank);
    const double realised = problem.risk(soft.map, noise, 0, samples);
    EXPECT_NEAR(realised, soft.optimum.risk, 1e-7 * realised) << RandomCase::trace();
    EXPECT_LE(realised, last);
    last = realised;
  }
  last = std::numeric_limits<double>::infinity();
  for (const std::int64_t rank : {1, 5, 21}) {
    const Featurization bayes = optimal_featurization(problem.sigma, problem.omega, noise, samples, {.max_rank = rank});
    EXPECT_EQ(bayes.map.features(), rank);
    const double realised = problem.risk(bayes.map, noise, bayes.map.facts().penalty, samples);
    EXPECT_NEAR(realised, bayes.optimum.risk, 1e-9 * realised) << RandomCase::trace();
    EXPECT_LE(realised, last);
    last = realised;
  }
}

TEST(Featurization, PrincipalComponentsAreTheHardOptimumOfUnstructuredTasks) {
  const Problem problem(37);
  const Tensor isotropic = test::tensor(test::scaled_identity(static_cast<std::size_t>(problem.p), 0.7));
  const Featurization hard = optimal_featurization(problem.sigma, isotropic, 0.5, 15, {.goal = FeatureGoal::hard});
  ASSERT_GT(hard.optimum.rank, 0);
  const FeatureMap axes = principal_components(problem.sigma, hard.optimum.rank);
  // Both maps span the same space: the projections on it agree.
  test::expect_near(test::projection(test::rows(hard.map.matrix())), test::projection(test::rows(axes.matrix())), 1e-8);
}

TEST(Featurization, WhiteningMakesInputsWhite) {
  const Problem problem(38);
  const Rows whitener = test::rows(whitening(problem.sigma).matrix());
  test::expect_near(test::times(test::times(whitener, test::rows(problem.sigma)), whitener),
                    test::scaled_identity(static_cast<std::size_t>(problem.p), 1), 1e-9);
}

TEST(Featurization, Warns) {
  const Tensor sigma = test::tensor(test::scaled_identity(6, 1));
  Rows few = test::scaled_identity(6, 0);
  few[0][0] = 1;
  EXPECT_EQ(optimal_featurization(sigma, test::tensor(few), 0.1, 4).warnings.size(), 1u);
  EXPECT_EQ(optimal_featurization(sigma, test::tensor(few), 9, 2, {.goal = FeatureGoal::hard}).warnings.size(), 1u);
  EXPECT_EQ(optimal_featurization(sigma, sigma, 1e-6, 5.99, {.goal = FeatureGoal::soft}).warnings.size(), 1u);
  EXPECT_TRUE(optimal_featurization(sigma, sigma, 0.1, 4).warnings.empty());
}

TEST(Featurization, RefusesWhatIsNoCovariance) {
  const Tensor good = test::tensor(test::scaled_identity(3, 1)), zero = test::tensor(test::scaled_identity(3, 0));
  const Tensor asymmetric = Tensor::from(std::vector<double>{1, 2, 0, 1}, {2, 2}, Device::cpu());
  const Tensor indefinite = test::tensor(test::scaled_identity(3, -1));
  const Tensor larger = test::tensor(test::scaled_identity(4, 1));
  EXPECT_THROW(optimal_featurization(asymmetric, asymmetric, 1, 5), ValueError);
  EXPECT_THROW(optimal_featurization(indefinite, good, 1, 5), ValueError);
  EXPECT_THROW(optimal_featurization(good, indefinite, 1, 5), ValueError);
  EXPECT_THROW(optimal_featurization(zero, good, 1, 5), ValueError);
  EXPECT_THROW(optimal_featurization(good, zero, 1, 5), ValueError);
  EXPECT_THROW(optimal_featurization(good, larger, 1, 5), ShapeError);
  EXPECT_THROW(optimal_featurization(good, good, -1, 5), ValueError);
  EXPECT_THROW(optimal_featurization(good, good, 1, 0), ValueError);
  EXPECT_THROW(optimal_featurization(good, good, 1, 5, {.max_rank = 4}), ValueError);
  EXPECT_THROW(optimal_featurization(good, good, 1, 3, {.goal = FeatureGoal::soft}), ValueError);
  EXPECT_THROW(optimal_featurization(Tensor::zeros({3, 3}, DType::f32, Device::cpu()), good, 1, 5), DTypeError);
  EXPECT_THROW(principal_components(good, 0), ValueError);
  EXPECT_THROW(principal_components(good, 4), ValueError);
  EXPECT_THROW(identity_features(0), ValueError);
}

TEST(FeatureMap, AppliesAndTakesCoefficientsBack) {
  RandomCase random(39);
  const Device cpu = Device::cpu();
  const auto b = random.normal(5 * 3), x = random.normal(4 * 5), theta = random.normal(3 * 2);
  const FeatureMap map(Tensor::from(b, {5, 3}, cpu), {"test"});
  const Tensor inputs = Tensor::from(x, {4, 5}, cpu), right = Tensor::from(theta, {3, 2}, cpu);
  const Rows features = test::times(test::rows(inputs), test::rows(map.matrix()));
  test::expect_near(test::rows(map.apply(cpu, inputs)), features, 1e-14);
  test::expect_near(test::times(test::rows(inputs), test::rows(map.coefficients(right))),
                    test::times(features, test::rows(right)), 1e-13);
  const Tensor narrow = Tensor::from(std::vector<float>(x.begin(), x.end()), {4, 5}, cpu);
  EXPECT_EQ(map.apply(cpu, narrow).dtype(), DType::f32);
  EXPECT_EQ(map.apply(cpu, Tensor({0, 5}, DType::f32, cpu)).extent(0), 0);
  EXPECT_THROW(map.apply(cpu, Tensor::zeros({4, 6}, DType::f64, cpu)), ShapeError);
  EXPECT_THROW(map.apply(cpu, Tensor::zeros({4, 5}, DType::i32, cpu)), DTypeError);
  EXPECT_THROW(map.coefficients(Tensor::zeros({4, 2}, DType::f64, cpu)), ShapeError);
  EXPECT_THROW(FeatureMap(Tensor::zeros({3}, DType::f64, cpu), {}), ShapeError);
  EXPECT_THROW(FeatureMap(Tensor::from(std::vector<double>{1, NAN}, {1, 2}, cpu), {}), ValueError);
}

TEST(FeatureMap, ComesBackFromItsFile) {
  const test::TemporaryFolder folder;
  const Problem problem(40);
  const FeatureMap map = optimal_featurization(problem.sigma, problem.omega, 0.3, 12).map;
  map.save(folder / "map.safetensors");
  EXPECT_EQ(folder.entries(), 1u);
  const FeatureMap back = FeatureMap::load(folder / "map.safetensors");
  EXPECT_EQ(back.matrix().to_vector<double>(), map.matrix().to_vector<double>());
  EXPECT_EQ(back.facts().kind, map.facts().kind);
  EXPECT_EQ(back.facts().penalty, map.facts().penalty);
  EXPECT_EQ(back.facts().samples, map.facts().samples);
  EXPECT_EQ(back.facts().noise, map.facts().noise);
  EXPECT_EQ(back.facts().expected_risk, map.facts().expected_risk);
  EXPECT_THROW(map.save(folder / "missing/map.safetensors"), IoError);
  EXPECT_THROW(FeatureMap::load(folder / "none"), IoError);
  const std::string bytes = test::content_of(folder / "map.safetensors");
  EXPECT_THROW(FeatureMap::load(folder.write("cut", bytes.substr(0, bytes.size() - 8))), FormatError);
  std::string other = bytes;
  other.replace(other.find("\"noise\""), 7, "\"n0ise\"");
  EXPECT_THROW(FeatureMap::load(folder.write("other", other)), FormatError);
}

}  // namespace
}  // namespace rtl::solvers
