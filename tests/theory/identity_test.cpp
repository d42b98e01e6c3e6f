// Identities of the two theories over random inputs. A failure prints the seed; RTL_TEST_SEED repeats it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "rtl/theory/covariance.hpp"
#include "rtl/theory/double_divergence.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "rtl/theory/isotropic.hpp"
#include "rtl/theory/kappa.hpp"
#include "rtl/theory/phase_diagram.hpp"
#include "rtl/theory/source_penalty.hpp"
#include "rtl/theory/transfer_risk.hpp"
#include "support/random.hpp"
#include "support/random_case.hpp"

namespace rtl::theory {
namespace {

using test::RandomCase;

constexpr int repetitions = 200;

TEST(Identity, KappaSolvesItsEquation) {
  RandomCase random(1);
  for (int i = 0; i < repetitions; ++i) {
    const auto spectrum = random.spectrum(random.whole(1, 60));
    const double penalty = random.whole(0, 3) == 0 ? 0 : random.logarithmic(1e-6, 1e3);
    const double samples = random.logarithmic(0.5, 200);
    const double kappa = solve_kappa(spectrum, penalty, samples);
    double sum = 0;
    for (const double s : spectrum) sum += s > 0 ? s / (s + kappa) : 0;
    EXPECT_GE(kappa, penalty);
    EXPECT_NEAR(kappa, penalty + kappa / samples * sum, 1e-12 * (kappa + penalty)) << RandomCase::trace();
    if (penalty == 0 && static_cast<double>(spectrum.size()) > samples) {
      EXPECT_NEAR(sum, samples, 1e-9 * samples) << RandomCase::trace();
    }
  }
}

TEST(Identity, SpectralFormulasGiveTheIsotropicOnes) {
  RandomCase random(2);
  for (int i = 0; i < repetitions; ++i) {
    const auto p = static_cast<std::int64_t>(random.whole(3, 40));
    const RidgeSetting source{random.logarithmic(2, 200), random.logarithmic(0.01, 10), random.logarithmic(1e-3, 30)};
    const RidgeSetting target{random.logarithmic(2, 200), random.logarithmic(0.01, 10), random.logarithmic(1e-3, 30)};
    const double alignment = random.uniform(-1, 3), apart = random.uniform(0, 2);
    std::vector<double> w0(static_cast<std::size_t>(p), 0.0), w1 = w0;
    w0[0] = 1;
    w1[0] = alignment;
    w1[1] = apart;
    const auto dimensions = static_cast<double>(p);
    const IsotropicRidge ridge = isotropic_ridge(dimensions / source.samples, source.noise, source.penalty);
    const auto isotropic = isotropic_transfer(ridge, isotropic_target(dimensions / target.samples, target.penalty),
                                              alignment, alignment * alignment + apart * apart, target.noise);
    const LinearTransfer transfer(Covariance::isotropic(p), w0, Covariance::isotropic(p), w1);
    const TransferRisk risk = transfer.risk(source, target);
    EXPECT_NEAR(risk.source, ridge.risk, 1e-10 * (1 + ridge.risk)) << RandomCase::trace();
    EXPECT_NEAR(risk.transfer, isotropic.transfer, 1e-10 * isotropic.transfer + 1e-12) << RandomCase::trace();
    EXPECT_NEAR(risk.scratch, isotropic.scratch, 1e-10 * isotropic.scratch + 1e-12) << RandomCase::trace();
    EXPECT_EQ(risk.transfer < risk.scratch, centre_disadvantage(ridge, alignment) < 0) << RandomCase::trace();
    const LinearTransfer same(Covariance::isotropic(p), w0, Covariance::isotropic(p), w0);
    EXPECT_NEAR(same.critical_scale(source, target), critical_alignment(ridge), 1e-10 * critical_alignment(ridge));
  }
}

TEST(Identity, TheSourceOptimumIsBayesAndBreaksEvenAtOneHalf) {
  RandomCase random(3);
  for (int i = 0; i < repetitions; ++i) {
    const double ratio = random.logarithmic(0.05, 20), noise = random.logarithmic(0.01, 20);
    const double penalty = source_optimal_penalty(ratio, noise);
    const IsotropicRidge best = isotropic_ridge(ratio, noise, penalty);
    EXPECT_NEAR(best.norm, best.overlap, 1e-12) << RandomCase::trace();
    EXPECT_NEAR(best.risk, 1 - best.overlap, 1e-12) << RandomCase::trace();
    EXPECT_NEAR(critical_alignment(best), 0.5, 1e-12) << RandomCase::trace();
    EXPECT_NEAR(centre_disadvantage(best, 0.5), 0, 1e-13) << RandomCase::trace();
    for (const double factor : {0.5, 0.99, 1.01, 2.0}) {
      EXPECT_GT(isotropic_ridge(ratio, noise, penalty * factor).risk, best.risk) << RandomCase::trace();
    }
  }
}

TEST(Identity, TheTransferOptimumReversesAtOne) {
  RandomCase random(4);
  for (int i = 0; i < repetitions; ++i) {
    const double ratio = random.logarithmic(0.05, 20), noise = random.logarithmic(0.01, 20);
    const double alignment = random.uniform(0.02, 3);
    const double source_penalty = source_optimal_penalty(ratio, noise);
    const TransferOptimum optimum = transfer_optimal_penalty(ratio, noise, alignment);
    EXPECT_EQ(optimum.penalty > source_penalty, alignment < 1) << RandomCase::trace();
    for (int j = 0; j < 40; ++j) {
      const auto ridge = isotropic_ridge(ratio, noise, random.logarithmic(1e-6, 1e6) * source_penalty);
      EXPECT_GE(centre_disadvantage(ridge, alignment), optimum.disadvantage - 1e-12) << RandomCase::trace();
    }
    if (optimum.penalty > 0) {
      const double u = optimum.u, distance = u * u - ratio;
      EXPECT_NEAR(optimum.penalty, source_penalty + (1 - alignment) * distance * distance / (u * u * u),
                  1e-7 * (optimum.penalty + source_penalty))
          << RandomCase::trace();
    }
    const auto scaled = scaled_centre_optimum(ratio, noise, alignment);
    EXPECT_LE(scaled.disadvantage, optimum.disadvantage + 1e-12) << RandomCase::trace();
  }
}

TEST(Identity, TheTransferOptimumHasItsBoundaries) {
  for (const double ratio : {0.5, 0.9, 1.5, 4.0}) {
    const double noise = 0.4, penalty = ratio * noise, distance = (1 - ratio) * (1 - ratio);
    const double edge = 1 + penalty / distance * (ratio < 1 ? 1 : ratio);
    EXPECT_EQ(transfer_optimal_penalty(ratio, noise, edge * 1.001).penalty, 0) << ratio;
    EXPECT_GT(transfer_optimal_penalty(ratio, noise, edge * 0.999).penalty, 0) << ratio;
    for (const double alignment : {0.0, -0.5}) {
      const TransferOptimum none = transfer_optimal_penalty(ratio, noise, alignment);
      EXPECT_TRUE(std::isinf(none.penalty) && std::isinf(none.u));
      EXPECT_EQ(none.disadvantage, 0);
    }
  }
  const TransferOptimum noiseless = transfer_optimal_penalty(0.5, 0, 0.5);
  EXPECT_NEAR(noiseless.penalty, 0.7991949571, 1e-9);
  const double ratio = 2, noise = 1, alignment = 1e-4;
  EXPECT_NEAR(transfer_optimal_penalty(ratio, noise, alignment).penalty,
              ratio * noise / alignment + (1 - alignment) * (1 + ratio) / alignment, 10);
}

TEST(Identity, TheSpectrumRuleFindsTheLeastDisadvantageAndReverses) {
  RandomCase random(5);
  for (int i = 0; i < repetitions; ++i) {
    const std::size_t p = random.whole(1, 50);
    const auto spectrum = random.spectrum(p), weights = random.spectrum(p);
    const double source_penalty = random.logarithmic(1e-3, 10), alignment = random.uniform(0.05, 2.5);
    const double penalty = finite_sample_transfer_penalty(spectrum, weights, source_penalty, alignment);
    if (alignment < 1) {
      EXPECT_GE(penalty, source_penalty / alignment) << RandomCase::trace();
    } else {
      EXPECT_LE(penalty, source_penalty / alignment) << RandomCase::trace();
    }
    const double least = finite_sample_disadvantage(spectrum, weights, source_penalty, alignment, penalty);
    for (int j = 0; j < 40; ++j) {
      const double other = random.logarithmic(1e-5, 1e5);
      EXPECT_GE(finite_sample_disadvantage(spectrum, weights, source_penalty, alignment, other),
                least - 1e-9 * std::abs(least))
          << RandomCase::trace() << " at " << other << " against " << penalty;
    }
  }
}

TEST(Identity, TheSpectrumRuleIsSourceOptimalAtOne) {
  RandomCase random(6);
  const auto spectrum = random.spectrum(30), weights = random.spectrum(30);
  EXPECT_EQ(finite_sample_transfer_penalty(spectrum, weights, 0.7, 1), 0.7);
  EXPECT_NEAR(finite_sample_transfer_penalty(spectrum, weights, 0.7, 1 - 1e-9), 0.7, 1e-6);
  EXPECT_NEAR(finite_sample_transfer_penalty(spectrum, weights, 0.7, 1 + 1e-9), 0.7, 1e-6);
  EXPECT_TRUE(std::isinf(finite_sample_transfer_penalty(spectrum, weights, 0.7, 0)));
  EXPECT_EQ(finite_sample_transfer_penalty(spectrum, weights, 0.7, 1e6), 0);
}

TEST(Identity, BayesFeaturesAreTheGroundTruthWithPenaltyNoisePerSample) {
  RandomCase random(7);
  for (int i = 0; i < repetitions; ++i) {
    const auto tasks = random.spectrum(random.whole(1, 60));
    const double noise = random.logarithmic(1e-3, 3), samples = static_cast<double>(random.whole(2, 80));
    const FeatureOptimum bayes = bayes_optimum(tasks, noise, samples);
    const FeaturizedRisk risk = featurized_risk(tasks, tasks, noise, noise / samples, samples);
    EXPECT_NEAR(risk.risk, bayes.risk, 1e-10 * bayes.risk) << RandomCase::trace();
    EXPECT_NEAR(risk.risk, samples * risk.kappa, 1e-10 * risk.risk) << RandomCase::trace();
    EXPECT_NEAR(risk.risk, risk.bias + risk.input_variance + risk.interaction_variance + noise, 1e-10 * risk.risk);
    for (int j = 0; j < 10; ++j) {
      auto features = random.spectrum(tasks.size());
      const double other = featurized_risk(features, tasks, noise, random.logarithmic(1e-4, 10), samples).risk;
      EXPECT_GE(other, bayes.risk * (1 - 1e-12)) << RandomCase::trace();
    }
  }
}

TEST(Identity, SoftFeaturesAreTheBestFullRankOnesWithoutPenalty) {
  RandomCase random(8);
  for (int i = 0; i < repetitions; ++i) {
    const std::size_t p = random.whole(3, 60);
    const auto tasks = random.spectrum(p);
    const double noise = random.logarithmic(1e-3, 3), samples = static_cast<double>(random.whole(1, p - 1));
    const FeatureOptimum soft = soft_optimum(tasks, noise, samples);
    EXPECT_NEAR(soft.filler, noise / (static_cast<double>(p) - samples), 1e-12 * soft.filler) << RandomCase::trace();
    EXPECT_NEAR(soft.degrees_of_freedom, samples, 1e-10 * samples) << RandomCase::trace();
    const FeaturizedRisk risk = featurized_risk(soft.spectrum, tasks, noise, 0, samples);
    EXPECT_NEAR(risk.risk, soft.risk, 1e-8 * soft.risk) << RandomCase::trace();
    for (int j = 0; j < 10; ++j) {
      auto features = soft.spectrum;
      for (double& k : features) k *= random.logarithmic(0.3, 3);
      EXPECT_GE(featurized_risk(features, tasks, noise, 0, samples).risk, soft.risk * (1 - 1e-10))
          << RandomCase::trace();
    }
  }
}

TEST(Identity, LimitedRankCostsAndIsRealised) {
  RandomCase random(9);
  for (int i = 0; i < repetitions / 4; ++i) {
    const std::size_t p = random.whole(6, 40);
    const auto tasks = random.spectrum(p);
    const double noise = random.logarithmic(1e-2, 1), samples = static_cast<double>(random.whole(1, p - 3));
    double last = std::numeric_limits<double>::infinity();
    for (auto rank = static_cast<std::int64_t>(samples) + 1; rank <= static_cast<std::int64_t>(p); ++rank) {
      const FeatureOptimum soft = soft_optimum(tasks, noise, samples, rank);
      EXPECT_LE(soft.risk, last * (1 + 1e-12)) << RandomCase::trace();
      EXPECT_EQ(soft.rank, rank);
      const double realised = featurized_risk(soft.spectrum, tasks, noise, 0, samples).risk;
      EXPECT_NEAR(realised, soft.risk, 1e-7 * soft.risk) << RandomCase::trace();
      last = soft.risk;
    }
  }
}

TEST(Identity, HardFeaturesKeepWhatLiesAboveTheThreshold) {
  RandomCase random(10);
  for (int i = 0; i < repetitions; ++i) {
    const auto tasks = random.spectrum(random.whole(1, 60));
    const double noise = random.logarithmic(1e-3, 3), samples = static_cast<double>(random.whole(2, 80));
    const FeatureOptimum hard = hard_optimum(tasks, noise, samples);
    for (std::size_t j = 0; j < tasks.size(); ++j) {
      EXPECT_EQ(hard.weights[j] == 1, tasks[j] > hard.risk / samples) << RandomCase::trace();
    }
    if (hard.rank > 0) {
      const FeaturizedRisk risk = featurized_risk(hard.spectrum, tasks, noise, 0, samples);
      EXPECT_NEAR(risk.risk, hard.risk, 1e-10 * hard.risk) << RandomCase::trace();
      EXPECT_EQ(risk.kappa, 0);
    }
    EXPECT_GE(hard.risk, bayes_optimum(tasks, noise, samples).risk * (1 - 1e-12)) << RandomCase::trace();
  }
}

TEST(Identity, MatricesThatCommuteGiveTheSpectralFormulas) {
  RandomCase random(11);
  const std::int64_t p = 23;
  const auto rotation = random.rotation(p);
  for (int i = 0; i < 20; ++i) {
    const auto s0 = random.spectrum(p), s1 = random.spectrum(p), w0 = random.normal(p);
    auto w1 = w0;
    for (double& value : w1) value += random.uniform(-0.3, 0.3);
    const RidgeSetting source{random.logarithmic(5, 60), 0.5, random.logarithmic(1e-2, 3)}, target{11, 0.3, 0.2};
    const LinearTransfer flat(Covariance::diagonal(s0), w0, Covariance::diagonal(s1), w1);
    const LinearTransfer turned(Covariance::dense(test::matrix(rotation, s0)), test::turn(rotation, w0),
                                Covariance::dense(test::matrix(rotation, s1)), test::turn(rotation, w1));
    EXPECT_NEAR(turned.risk(source, target).transfer, flat.risk(source, target).transfer, 1e-10) << RandomCase::trace();
    EXPECT_NEAR(turned.risk(source, target).source, flat.risk(source, target).source, 1e-10) << RandomCase::trace();
    EXPECT_NEAR(turned.critical_scale(source, target), flat.critical_scale(source, target), 1e-9);
    const double dense = featurized_risk(Covariance::dense(test::matrix(rotation, s0)),
                                         Covariance::dense(test::matrix(rotation, s1)), 0.2, 0.1, 9)
                             .risk;
    EXPECT_NEAR(dense, featurized_risk(s0, s1, 0.2, 0.1, 9).risk, 1e-10 * dense) << RandomCase::trace();
  }
}

TEST(Identity, CriticalScaleIsWhereTheRisksMeet) {
  RandomCase random(12);
  const std::int64_t p = 17;
  for (int i = 0; i < 20; ++i) {
    const auto inputs0 = Covariance::dense(test::matrix(random.rotation(p), random.spectrum(p)));
    const auto inputs1 = Covariance::dense(test::matrix(random.rotation(p), random.spectrum(p)));
    const auto w0 = random.normal(p);
    auto w1 = w0;
    for (double& value : w1) value += random.uniform(-0.3, 0.3);
    const RidgeSetting source{30, 0.5, 0.3}, target{9, 0.2, random.logarithmic(0.01, 1)};
    const double scale = LinearTransfer(inputs0, w0, inputs1, w1).critical_scale(source, target);
    if (std::isinf(scale)) continue;
    for (double& value : w1) value *= scale;
    const TransferRisk risk = LinearTransfer(inputs0, w0, inputs1, w1).risk(source, target);
    EXPECT_NEAR(risk.transfer, risk.scratch, 1e-9 * risk.scratch) << RandomCase::trace();
  }
}

}  // namespace
}  // namespace rtl::theory
