// Every risk formula against draws: the mean of R draws within 1 % and four standard errors.
//
// Seeds are fixed, so that a formula that is right does not fail once in a while; RTL_TEST_SEED draws others.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/solvers/feature_optimum.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "rtl/theory/simulation.hpp"
#include "rtl/theory/transfer_risk.hpp"
#include "support/random_case.hpp"

namespace rtl::theory {
namespace {

std::uint64_t first_seed() {
  const char* given = std::getenv("RTL_TEST_SEED");
  return given != nullptr ? std::stoull(given) * 1'000'000 : 0;
}

void expect_average(const std::vector<double>& values, double formula, const std::string& what) {
  const Average measured = average(values);
  EXPECT_NEAR(measured.mean, formula, 0.01 * std::abs(formula) + 4 * measured.error)
      << what << ": " << measured.mean << " +- " << measured.error << " from seed " << first_seed();
}

std::vector<double> unit_vector(std::int64_t p, std::uint64_t stream,
                                const std::vector<double>* orthogonal_to = nullptr) {
  auto w = standard_normals(first_seed() + 77, stream, p);
  const auto inner = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  if (orthogonal_to != nullptr) {
    const double along = inner(w, *orthogonal_to);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= along * (*orthogonal_to)[i];
  }
  const double norm = std::sqrt(inner(w, w));
  for (double& value : w) value /= norm;
  return w;
}

struct TransferCase {
  std::string name;
  Covariance source_inputs;
  Covariance target_inputs;
  RidgeSetting source;
  RidgeSetting target;
  double alignment = 0.7;
  double apart = 0.5;
  int draws = 100;
};

Covariance rotated(std::int64_t p, double exponent, std::uint64_t stream) {
  test::RandomCase random(stream, first_seed());
  const Covariance law = Covariance::power_law(p, exponent);
  const auto spectrum = law.eigenvalues();
  return Covariance::dense(test::matrix(random.rotation(p), {spectrum.begin(), spectrum.end()}));
}

void expect_transfer(const TransferCase& test_case) {
  SCOPED_TRACE(test_case.name);
  const std::int64_t p = test_case.source_inputs.dimension();
  const auto w0 = unit_vector(p, 1);
  auto apart = unit_vector(p, 2, &w0);
  for (double& value : apart) value *= test_case.apart;
  std::vector<double> w1 = apart;
  for (std::size_t i = 0; i < w1.size(); ++i) w1[i] += test_case.alignment * w0[i];
  const std::vector<double> penalties = {0.1, 0.5, 2, 10};
  const TransferSimulation simulation(test_case.source_inputs, w0, test_case.target_inputs, apart, test_case.source,
                                      test_case.target, penalties);
  std::vector<TransferDraw> draws;
  for (int i = 0; i < test_case.draws; ++i)
    draws.push_back(simulation.draw(first_seed() + static_cast<std::uint64_t>(i)));
  const LinearTransfer formula(test_case.source_inputs, w0, test_case.target_inputs, w1);
  std::vector<double> scratch;
  for (const TransferDraw& draw : draws) scratch.push_back(draw.scratch_risk(test_case.alignment));
  for (std::int64_t l = 0; l < 4; ++l) {
    RidgeSetting source = test_case.source;
    source.penalty = penalties[static_cast<std::size_t>(l)];
    const TransferRisk expected = formula.risk(source, test_case.target);
    std::vector<double> risks, transfers;
    for (const TransferDraw& draw : draws) {
      risks.push_back(draw.source_risk(l));
      transfers.push_back(draw.transfer_risk(l, test_case.alignment));
    }
    const std::string at = " at tau0 = " + std::to_string(source.penalty);
    expect_average(risks, expected.source, "source" + at);
    expect_average(transfers, expected.transfer, "transfer" + at);
    if (l == 0) expect_average(scratch, expected.scratch, "scratch");
  }
}

TEST(MonteCarlo, IsotropicTransferWithMoreSamplesThanDimensions) {
  const Covariance white = Covariance::isotropic(200);
  expect_transfer({"", white, white, {400, 1, 0}, {300, 0.25, 0.3}});
}

TEST(MonteCarlo, IsotropicTransferWithFewerSamplesThanDimensions) {
  const Covariance white = Covariance::isotropic(400);
  expect_transfer({"", white, white, {200, 0.5, 0}, {120, 0.1, 0.2}});
}

TEST(MonteCarlo, PowerLawTransfer) {
  for (const double exponent : {0.5, 1.0, 1.5}) {
    const Covariance law = Covariance::power_law(300, exponent);
    expect_transfer({"exponent " + std::to_string(exponent), law, law, {240, 0.5, 0}, {200, 0.1, 0.1}});
  }
  expect_transfer(
      {"unequal", Covariance::power_law(300, 0.5), Covariance::power_law(300, 1.5), {450, 0.5, 0}, {200, 0.1, 0.05}});
}

TEST(MonteCarlo, TransferBetweenInputsThatDoNotCommute) {
  expect_transfer({"power law", rotated(240, 1, 81), rotated(240, 1, 82), {360, 0.5, 0}, {200, 0.1, 0.05}});
  expect_transfer(
      {"diagonal source", Covariance::power_law(240, 1), rotated(240, 0.5, 83), {200, 0.5, 0}, {220, 0.1, 0.1}});
}

TEST(MonteCarlo, ScratchAndTransferAreEqualAtTheSourceOptimumForAlignmentOneHalf) {
  const std::int64_t p = 300;
  const Covariance white = Covariance::isotropic(p);
  const double samples = 200, noise = 1, penalty = static_cast<double>(p) / samples * noise;
  const TransferSimulation simulation(white, unit_vector(p, 1), white, std::vector<double>(static_cast<std::size_t>(p)),
                                      {samples, noise, 0}, {100, 0.01, 0.1}, {penalty});
  std::vector<double> gains;
  for (int i = 0; i < 200; ++i) {
    const TransferDraw draw = simulation.draw(first_seed() + static_cast<std::uint64_t>(i));
    gains.push_back(draw.scratch_risk(0.5) - draw.transfer_risk(0, 0.5));
  }
  const Average gain = average(gains);
  EXPECT_NEAR(gain.mean, 0, 4 * gain.error);
  EXPECT_LT(gain.error, 0.01);
}

void expect_features(const std::string& name, const Covariance& features, const Covariance& tasks, double noise,
                     double penalty, std::int64_t samples, int draws = 24) {
  SCOPED_TRACE(name);
  const FeatureSimulation simulation(features, tasks, noise, penalty, samples);
  std::vector<double> bias, input, interaction, risk;
  for (int i = 0; i < draws; ++i) {
    const FeatureDraw draw = simulation.draw(first_seed() + static_cast<std::uint64_t>(i));
    bias.push_back(draw.bias);
    input.push_back(draw.input_variance);
    interaction.push_back(draw.interaction_variance);
    risk.push_back(draw.risk);
  }
  const FeaturizedRisk expected = featurized_risk(features, tasks, noise, penalty, static_cast<double>(samples));
  expect_average(risk, expected.risk, "R");
  expect_average(bias, expected.bias, "bias");
  expect_average(input, expected.input_variance, "V_X");
  expect_average(interaction, expected.interaction_variance, "V_Xe");
}

/// Task spectrum of sum 1.
std::vector<double> power_tasks(std::int64_t p, double exponent) {
  const Covariance law = Covariance::power_law(p, exponent);
  std::vector<double> tasks(law.eigenvalues().begin(), law.eigenvalues().end());
  for (double& task : tasks) task /= static_cast<double>(p);
  return tasks;
}

TEST(MonteCarlo, RandomFeatures) {
  const std::int64_t p = 250;
  const Covariance tasks = Covariance::diagonal(power_tasks(p, 1));
  expect_features("with a penalty", rotated(p, 0.5, 84), tasks, 0.5, 0.1, 300);
  expect_features("least norm, more directions than samples", rotated(p, 0.5, 85), tasks, 0.2, 0, 150);
  const Covariance law = Covariance::power_law(p, 1);
  std::vector<double> few(law.eigenvalues().begin(), law.eigenvalues().end());
  std::fill(few.begin() + 60, few.end(), 0.0);
  test::RandomCase random(86, first_seed());
  const Covariance narrow = Covariance::dense(test::matrix(random.rotation(p), few));
  expect_features("least norm, fewer directions than samples", narrow, tasks, 0.3, 0, 200);
}

TEST(MonteCarlo, GroundTruthAndIdentityFeatures) {
  const std::int64_t p = 300;
  const Covariance tasks = Covariance::diagonal(power_tasks(p, 1.5));
  expect_features("ground truth", tasks, tasks, 0.2, 0, 120);
  expect_features("identity", Covariance::isotropic(p), tasks, 0.2, 0, 120);
  expect_features("identity with a penalty", Covariance::isotropic(p), tasks, 0.2, 0.05, 400);
}

TEST(MonteCarlo, TheThreeOptima) {
  const std::int64_t p = 240, samples = 100;
  const double noise = 0.2, n = static_cast<double>(samples);
  const auto spectrum = power_tasks(p, 1.2);
  const Covariance tasks = Covariance::diagonal(spectrum);
  const auto bayes = solvers::bayes_optimum(spectrum, noise, n), soft = solvers::soft_optimum(spectrum, noise, n),
             hard = solvers::hard_optimum(spectrum, noise, n);
  expect_features("bayes", Covariance::diagonal(bayes.spectrum), tasks, noise, bayes.penalty, samples);
  expect_features("soft", Covariance::diagonal(soft.spectrum), tasks, noise, 0, samples);
  expect_features("hard", Covariance::diagonal(hard.spectrum), tasks, noise, 0, samples);
}

TEST(MonteCarlo, IsDeterministic) {
  const Covariance law = Covariance::power_law(20, 1);
  const TransferSimulation simulation(law, unit_vector(20, 1), law, std::vector<double>(20), {15, 1, 0}, {10, 1, 0.1},
                                      {0.1, 1});
  EXPECT_EQ(simulation.draw(3).transfer_risk(1, 0.7), simulation.draw(3).transfer_risk(1, 0.7));
  EXPECT_NE(simulation.draw(3).transfer_risk(1, 0.7), simulation.draw(4).transfer_risk(1, 0.7));
  const FeatureSimulation features(law, law, 0.1, 0.1, 12);
  EXPECT_EQ(features.draw(3).risk, features.draw(3).risk);
  EXPECT_NE(features.draw(3).risk, features.draw(4).risk);
}

TEST(MonteCarlo, ADrawIsAQuadraticFormInTheCentresScale) {
  const Covariance law = Covariance::power_law(5, 0.7);
  const auto w0 = unit_vector(5, 1), apart = unit_vector(5, 2, &w0);
  const TransferDraw draw = TransferSimulation(law, w0, law, apart, {9, 0.1, 0}, {7, 0.1, 0.3}, {0.4}).draw(11);
  const double scratch = draw.scratch_risk(0.6), once = draw.transfer_risk(0, 0.6),
               twice = draw.transfer_risk(0, 0.6, 2);
  EXPECT_NEAR(draw.transfer_risk(0, 0.6, 0), scratch, 1e-14);
  const double second = (twice - 2 * once + scratch) / 2, first = once - scratch - second;
  EXPECT_NEAR(draw.transfer_risk(0, 0.6, 0.8), scratch + 0.8 * first + 0.64 * second, 1e-12);
}

TEST(Average, NeedsTwoValues) {
  EXPECT_THROW(average(std::vector<double>{1}), ValueError);
  const Average two = average(std::vector<double>{1, 3});
  EXPECT_EQ(two.mean, 2);
  EXPECT_EQ(two.error, 1);
}

}  // namespace
}  // namespace rtl::theory
