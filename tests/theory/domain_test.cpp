// What the formulas refuse, and by which error.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/theory/covariance.hpp"
#include "rtl/theory/double_divergence.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "rtl/theory/isotropic.hpp"
#include "rtl/theory/kappa.hpp"
#include "rtl/theory/phase_diagram.hpp"
#include "rtl/theory/simulation.hpp"
#include "rtl/theory/source_penalty.hpp"
#include "rtl/theory/transfer_risk.hpp"

namespace rtl::theory {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
const std::vector<double> spectrum3 = {1, 2, 3};

TEST(Domain, KappaRefusesWhatNoRidgeHas) {
  EXPECT_THROW(solve_kappa({}, 1, 10), ValueError);
  for (const double bad : {-1.0, not_a_number, infinity}) {
    EXPECT_THROW(solve_kappa(spectrum3, bad, 10), ValueError) << bad;
    EXPECT_THROW(solve_kappa(spectrum3, 1, bad), ValueError) << bad;
    EXPECT_THROW(solve_kappa(std::vector<double>{1, bad}, 1, 10), ValueError) << bad;
  }
  EXPECT_THROW(solve_kappa(spectrum3, 1, 0), ValueError);
  try {
    solve_kappa(spectrum3, -0.5, 10);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_EQ(std::string(error.what()), "solve_kappa: penalty is -0.5; it must be finite and not negative");
  }
}

TEST(Domain, KappaIsZeroWithoutPenaltyUpToFullRank) {
  EXPECT_EQ(solve_kappa(spectrum3, 0, 3), 0);
  EXPECT_EQ(solve_kappa(spectrum3, 0, 10), 0);
  EXPECT_GT(solve_kappa(spectrum3, 0, 2.9), 0);
  EXPECT_EQ(solve_kappa(std::vector<double>{1, 1e-14, 0}, 0, 1), 0) << "two eigenvalues count as zero";
  EXPECT_EQ(solve_kappa(std::vector<double>{0, 0}, 0.25, 5), 0.25);
}

TEST(Domain, IsotropicFormulas) {
  for (const double bad : {0.0, -1.0, not_a_number, infinity}) {
    EXPECT_THROW(isotropic_ridge(bad, 1, 1), ValueError);
    EXPECT_THROW(isotropic_target(bad, 1), ValueError);
    EXPECT_THROW(source_optimal_penalty(bad, 1), ValueError);
    EXPECT_THROW(transfer_optimal_penalty(bad, 1, 1), ValueError);
    EXPECT_THROW(scaled_centre_optimum(bad, 1, 1), ValueError);
  }
  for (const double bad : {-1e-9, not_a_number, infinity}) {
    EXPECT_THROW(isotropic_ridge(1, bad, 1), ValueError);
    EXPECT_THROW(isotropic_ridge(1, 1, bad), ValueError);
    EXPECT_THROW(isotropic_target(1, bad), ValueError);
    EXPECT_THROW(transfer_optimal_penalty(1, bad, 1), ValueError);
  }
  EXPECT_THROW(transfer_optimal_penalty(1, 1, not_a_number), ValueError);
  EXPECT_THROW(isotropic_penalty(2, 1.9), ValueError);
  EXPECT_THROW(isotropic_transfer(isotropic_ridge(1, 1, 1), isotropic_target(1, 1), 2, 3.9, 0), ValueError)
      << "no w1 is shorter than its part along w0";
}

TEST(Domain, TheInterpolationThresholdIsInfinite) {
  EXPECT_TRUE(std::isinf(isotropic_ridge(1, 0.1, 0).risk));
  EXPECT_EQ(isotropic_ridge(1, 0, 0).risk, 0);
  EXPECT_TRUE(std::isinf(isotropic_target(1, 0).noise));
  EXPECT_TRUE(std::isinf(ridge_risk(Covariance::isotropic(4), std::vector<double>(4, 1.0), {4, 0.1, 0})));
  EXPECT_TRUE(std::isinf(featurized_risk(spectrum3, spectrum3, 0.1, 0, 3).risk));
}

TEST(Domain, SpectrumRule) {
  EXPECT_THROW(finite_sample_transfer_penalty(spectrum3, std::vector<double>{1, 2}, 1, 1), ShapeError);
  EXPECT_THROW(finite_sample_transfer_penalty({}, {}, 1, 1), ValueError);
  EXPECT_THROW(finite_sample_transfer_penalty(spectrum3, spectrum3, -1, 1), ValueError);
  EXPECT_THROW(finite_sample_transfer_penalty(spectrum3, spectrum3, 1, not_a_number), ValueError);
  EXPECT_THROW(finite_sample_disadvantage(spectrum3, spectrum3, 1, 1, -1), ValueError);
}

TEST(Domain, Covariance) {
  const auto dense = [](const std::vector<double>& values, const Shape& shape) {
    return Covariance::dense(Tensor::from(values, shape, Device::cpu()));
  };
  EXPECT_THROW(Covariance::isotropic(0), ValueError);
  EXPECT_THROW(Covariance::isotropic(3, -1), ValueError);
  EXPECT_THROW(Covariance::diagonal({}), ValueError);
  EXPECT_THROW(Covariance::diagonal({1, -1}), ValueError);
  EXPECT_THROW(Covariance::power_law(0, 1), ValueError);
  EXPECT_THROW(dense({1, 2}, {1, 2}), ShapeError);
  EXPECT_THROW(dense({1, 2}, {2}), ShapeError);
  EXPECT_THROW(dense({1, 2, 3, 1}, {2, 2}), ValueError) << "not symmetric";
  EXPECT_THROW(dense({1, 2, 2, 1}, {2, 2}), ValueError) << "eigenvalue -1";
  EXPECT_THROW(dense({1, not_a_number, not_a_number, 1}, {2, 2}), ValueError);
  EXPECT_THROW(Covariance::dense(Tensor::zeros({2, 2}, DType::f32, Device::cpu())), DTypeError);
  const Covariance singular = dense({1, 1, 1, 1}, {2, 2}), zero = dense({0, 0, 0, 0}, {2, 2});
  EXPECT_EQ(singular.eigenvalues()[0], 0) << "rounding below zero";
  EXPECT_EQ(zero.eigenvalues()[1], 0);
  EXPECT_THROW(Covariance::isotropic(3).coordinates(std::vector<double>{1, 2}), ShapeError);
}

TEST(Domain, TransferRisk) {
  const Covariance three = Covariance::isotropic(3), two = Covariance::isotropic(2);
  const std::vector<double> w3(3, 1.0), w2(2, 1.0);
  EXPECT_THROW(LinearTransfer(three, w2, three, w3), ShapeError);
  EXPECT_THROW(LinearTransfer(three, w3, two, w2), ShapeError);
  EXPECT_THROW(LinearTransfer(three, std::vector<double>{1, 2, not_a_number}, three, w3), ValueError);
  const LinearTransfer transfer(three, w3, three, w3);
  const RidgeSetting good{5, 1, 1};
  for (const RidgeSetting& bad :
       {RidgeSetting{0, 1, 1}, RidgeSetting{5, -1, 1}, RidgeSetting{5, 1, -1}, RidgeSetting{5, 1, infinity}}) {
    EXPECT_THROW(transfer.risk(bad, good), ValueError);
    EXPECT_THROW(transfer.risk(good, bad), ValueError);
    EXPECT_THROW(transfer.critical_scale(bad, good), ValueError);
    EXPECT_THROW(ridge_risk(three, w3, bad), ValueError);
    EXPECT_THROW(centre_error(three, w3, bad, w3, three), ValueError);
  }
  EXPECT_THROW(ridge_risk(three, w2, good), ShapeError);
  EXPECT_THROW(centre_error(three, w3, good, w2, two), ShapeError);
}

TEST(Domain, Features) {
  EXPECT_THROW(featurized_risk(spectrum3, std::vector<double>{1}, 0, 0, 5), ShapeError);
  EXPECT_THROW(featurized_risk(spectrum3, spectrum3, -1, 0, 5), ValueError);
  EXPECT_THROW(featurized_risk(spectrum3, spectrum3, 0, -1, 5), ValueError);
  EXPECT_THROW(featurized_risk(spectrum3, spectrum3, 0, 0, 0), ValueError);
  EXPECT_THROW(featurized_risk(Covariance::isotropic(2), Covariance::isotropic(3), 0, 0, 5), ShapeError);
  EXPECT_THROW(bayes_optimum({}, 1, 1), ValueError);
  EXPECT_THROW(bayes_optimum(spectrum3, -1, 1), ValueError);
  EXPECT_THROW(hard_optimum(spectrum3, 1, 0), ValueError);
  EXPECT_THROW(hard_optimum(spectrum3, 1, 5, 4), ValueError);
  EXPECT_THROW(soft_optimum(spectrum3, 1, 3), ValueError) << "as many samples as directions";
  EXPECT_THROW(soft_optimum(spectrum3, 1, 2, 2), ValueError);
  EXPECT_THROW(soft_optimum(spectrum3, 1, 2, -1), ValueError);
  EXPECT_EQ(minimum_norm_optimum(spectrum3, 1, 3).phase, FeaturePhase::hard);
}

TEST(Domain, PhaseDiagram) {
  EXPECT_THROW(soft_range(1, 0.1), ValueError);
  EXPECT_THROW(soft_range(2, 0), ValueError);
  EXPECT_THROW(equal_tasks_soft_risk(3, 2, 0.1), ValueError);
  EXPECT_THROW(equal_tasks_soft_risk(0.5, 1, 0.1), ValueError);
  EXPECT_THROW(equal_tasks_hard_risk(0, 0.1), ValueError);
  EXPECT_THROW(equal_tasks_bayes_risk(0.5, -0.1), ValueError);
  EXPECT_THROW(spectrum({0, 1, 1, 1}), ValueError);
  EXPECT_THROW(first_peak_height({1, 1, 1, 0}, 1), ValueError);
  EXPECT_THROW(second_peak_height({1, 1, 1, 1}, 1, 0), ValueError);
}

TEST(Domain, DrawsHaveNoOtherPenalties) {
  const TransferDraw none;
  EXPECT_THROW((void)none.source_risk(0), ValueError);
  EXPECT_THROW((void)none.transfer_risk(-1, 1), ValueError);
}

}  // namespace
}  // namespace rtl::theory
