// Every value of the papers' golden tables, within 1e-9 relative.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "rtl/theory/covariance.hpp"
#include "rtl/theory/featurized_risk.hpp"
#include "rtl/theory/isotropic.hpp"
#include "rtl/theory/kappa.hpp"
#include "rtl/theory/phase_diagram.hpp"
#include "rtl/theory/source_penalty.hpp"
#include "rtl/theory/transfer_risk.hpp"
#include "support/golden.hpp"

namespace rtl::theory {
namespace {

std::vector<double> flat_unit_vector(std::int64_t p, double scale = 1) {
  return std::vector<double>(static_cast<std::size_t>(p), scale / std::sqrt(static_cast<double>(p)));
}

TEST(Golden, IsotropicRidge) {
  const auto rows = test::golden_table("theory/g1_isotropic.csv");
  ASSERT_EQ(rows.size(), 13u);
  for (const auto& row : rows) {
    const IsotropicRidge ridge = isotropic_ridge(row["gamma"], row["s2_over_w2"], row["tau"]);
    RTL_EXPECT_GOLDEN(ridge.u, row["u"]);
    RTL_EXPECT_GOLDEN(ridge.kappa, row["kappa"]);
    RTL_EXPECT_GOLDEN(ridge.overlap, row["m"]);
    RTL_EXPECT_GOLDEN(ridge.norm, row["q"]);
    RTL_EXPECT_GOLDEN(ridge.risk, row["risk"]);
  }
}

TEST(Golden, TransferOptimalPenalty) {
  const auto rows = test::golden_table("theory/g2_tau0star.csv");
  ASSERT_EQ(rows.size(), 80u);
  for (const auto& row : rows) {
    SCOPED_TRACE("gamma " + row.text("gamma") + ", s2 " + row.text("s2_over_w2") + ", rho " + row.text("rho"));
    const double ratio = row["gamma"], noise = row["s2_over_w2"], alignment = row["rho"];
    const double source_penalty = source_optimal_penalty(ratio, noise);
    const TransferOptimum optimum = transfer_optimal_penalty(ratio, noise, alignment);
    RTL_EXPECT_GOLDEN(source_penalty, row["tauS"]);
    RTL_EXPECT_GOLDEN(optimum.penalty, row["tau0star"]);
    RTL_EXPECT_GOLDEN(optimum.penalty / source_penalty, row["ratio"]);
    RTL_EXPECT_GOLDEN(optimum.u, row["u_star"]);
    RTL_EXPECT_GOLDEN(optimum.disadvantage, row["J_star"]);
    const auto at_source = isotropic_ridge(ratio, noise, source_penalty);
    EXPECT_NEAR(centre_disadvantage(at_source, alignment), row["J_at_tauS"], 1e-9 * std::abs(row["J_at_tauS"]) + 1e-15);
    const auto at_optimum = isotropic_ridge(ratio, noise, optimum.penalty);
    RTL_EXPECT_GOLDEN(critical_alignment(at_optimum), row["rho_crit_at_tau0star"]);
    RTL_EXPECT_GOLDEN(scaled_centre_optimum(ratio, noise, alignment).disadvantage, row["J_scaled"]);
  }
}

TEST(Golden, Kappa) {
  const auto rows = test::golden_table("theory/g3_kappa.csv");
  ASSERT_EQ(rows.size(), 6u);
  for (const auto& row : rows) {
    const auto p = static_cast<std::int64_t>(row["p"]);
    const Covariance inputs = Covariance::power_law(p, row["alpha"]);
    const EffectivePenalty level = effective_penalty(inputs.eigenvalues(), row["tau"], row["n"]);
    RTL_EXPECT_GOLDEN(level.kappa, row["kappa"]);
    RTL_EXPECT_GOLDEN(solve_kappa(inputs.eigenvalues(), row["tau"], row["n"]), row["kappa"]);
    RTL_EXPECT_GOLDEN(level.degrees_of_freedom, row["df1"]);
    RTL_EXPECT_GOLDEN(level.squared_degrees_of_freedom, row["df2"]);
    const double risk = ridge_risk(inputs, flat_unit_vector(p), {row["n"], 0.5, row["tau"]});
    RTL_EXPECT_GOLDEN(risk, row["excess_risk_s2=0.5_w=1/sqrt(p)"]);
  }
}

TEST(Golden, AnisotropicTransfer) {
  const auto rows = test::golden_table("theory/g4_aniso_l2sp.csv");
  ASSERT_EQ(rows.size(), 5u);
  for (const auto& row : rows) {
    const auto p = static_cast<std::int64_t>(row["p"]);
    const RidgeSetting source{row["n0"], row["s02"], row["tau0"]}, target{row["n1"], row["s12"], row["tau1"]};
    const Covariance inputs0 = Covariance::power_law(p, row["alpha0"]),
                     inputs1 = Covariance::power_law(p, row["alpha1"]);
    const LinearTransfer transfer(inputs0, flat_unit_vector(p), inputs1, flat_unit_vector(p, row["rho"]));
    const TransferRisk risk = transfer.risk(source, target);
    RTL_EXPECT_GOLDEN(solve_kappa(inputs0.eigenvalues(), source.penalty, source.samples), row["kappa0"]);
    RTL_EXPECT_GOLDEN(solve_kappa(inputs1.eigenvalues(), target.penalty, target.samples), row["kappa1"]);
    RTL_EXPECT_GOLDEN(risk.bias, row["center_err_W1"]);
    RTL_EXPECT_GOLDEN(risk.noise, row["noise"]);
    RTL_EXPECT_GOLDEN(risk.transfer, row["transfer_risk"]);
    RTL_EXPECT_GOLDEN(risk.scratch, row["scratch_risk"]);
  }
}

TEST(Golden, IsotropicTarget) {
  const IsotropicTarget even = isotropic_target(2, 0.3);
  EXPECT_NEAR(even.bias, 9.0 / 17, 1e-12);
  EXPECT_NEAR(even.noise, 8.0 / 17, 1e-12);
  const IsotropicTarget scarce = isotropic_target(10, 0.1);
  RTL_EXPECT_GOLDEN(scarce.bias, 0.9000133529);
  RTL_EXPECT_GOLDEN(scarce.noise, 0.1084224381);
}

/// The task spectra of g5_optfeat.csv, normalised to a sum of 1.
std::vector<double> tasks_of(const std::string& name, std::size_t p) {
  std::vector<double> tasks(p, 0.0);
  const auto fill = [&](std::size_t strong, double high, double low) {
    for (std::size_t i = 0; i < p; ++i) tasks[i] = i < strong ? high : low;
  };
  if (name.starts_with("i^")) {
    const double exponent = std::stod(name.substr(2));
    for (std::size_t i = 0; i < p; ++i) tasks[i] = std::pow(static_cast<double>(i + 1), exponent);
  } else if (name == "10x.1+50x.002") {
    fill(10, 0.1, 0.002);
  } else if (name == "12x1/12+48x0") {
    fill(12, 1, 0);
  } else {
    throw std::invalid_argument(name);
  }
  const double sum = std::accumulate(tasks.rbegin(), tasks.rend(), 0.0);
  for (double& task : tasks) task /= sum;
  return tasks;
}

TEST(Golden, OptimalFeatures) {
  const auto rows = test::golden_table("theory/g5_optfeat.csv");
  ASSERT_EQ(rows.size(), 32u);
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text("spectrum") + ", n " + row.text("n") + ", s2 " + row.text("s2"));
    const auto tasks = tasks_of(row.text("spectrum"), static_cast<std::size_t>(row["p"]));
    const FeatureOptimum bayes = bayes_optimum(tasks, row["s2"], row["n"]);
    const FeatureOptimum soft = soft_optimum(tasks, row["s2"], row["n"]);
    const FeatureOptimum hard = hard_optimum(tasks, row["s2"], row["n"]);
    RTL_EXPECT_GOLDEN(bayes.risk, row["R_bayes"]);
    RTL_EXPECT_GOLDEN(bayes.degrees_of_freedom, row["dof_bayes"]);
    RTL_EXPECT_GOLDEN(soft.risk, row["R_soft"]);
    RTL_EXPECT_GOLDEN(soft.filler, row["nu_soft"]);
    RTL_EXPECT_GOLDEN(hard.risk, row["R_hard"]);
    EXPECT_EQ(static_cast<double>(hard.rank), row["r_hard"]);
    EXPECT_EQ(to_string(minimum_norm_optimum(tasks, row["s2"], row["n"]).phase), row.text("winner_minnorm"));
  }
}

TEST(Golden, FeaturizedRisk) {
  const auto rows = test::golden_table("theory/g6_featurised_risk.csv");
  ASSERT_EQ(rows.size(), 12u);
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text("case") + ", n " + row.text("n") + ", lambda " + row.text("lambda"));
    const auto p = static_cast<std::int64_t>(row["p"]);
    const Covariance inputs = Covariance::power_law(p, 1);
    std::vector<double> tasks(inputs.eigenvalues().begin(), inputs.eigenvalues().end());
    for (std::size_t i = 0; i < tasks.size(); ++i) tasks[i] *= std::pow(static_cast<double>(i + 1), -0.5);
    const double sum = std::accumulate(tasks.begin(), tasks.end(), 0.0);
    for (double& task : tasks) task /= sum;
    std::vector<double> features(tasks.size(), 0.0);
    const std::string& name = row.text("case");
    for (std::size_t i = 0; i < features.size(); ++i) {
      if (name.starts_with("identity")) features[i] = inputs.eigenvalues()[i];
      if (name.starts_with("ground truth")) features[i] = tasks[i];
      if (name.starts_with("top80")) features[i] = i < 80 ? 1 : 0;
      if (name.starts_with("T+0.001")) features[i] = tasks[i] + 0.001;
    }
    const FeaturizedRisk risk = featurized_risk(features, tasks, row["s2"], row["lambda"], row["n"]);
    RTL_EXPECT_GOLDEN(risk.kappa, row["kappa"]);
    RTL_EXPECT_GOLDEN(risk.bias, row["bias"]);
    RTL_EXPECT_GOLDEN(risk.variance_share, row["D"]);
    RTL_EXPECT_GOLDEN(risk.input_variance, row["VX"]);
    RTL_EXPECT_GOLDEN(risk.interaction_variance, row["VXe"]);
    RTL_EXPECT_GOLDEN(risk.risk, row["R"]);
  }
}

}  // namespace
}  // namespace rtl::theory
