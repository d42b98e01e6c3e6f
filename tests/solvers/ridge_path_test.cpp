// RidgePath against fitting without each row in turn, and against its own other methods.
#include "rtl/solvers/ridge_path.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "solvers/problems.hpp"
#include "support/devices.hpp"

namespace rtl::solvers {
namespace {

using test::expect_close;
using test::Matrix;
using test::Problem;
using test::Random;
using test::random_matrix;
using test::random_problem;
using test::ReferenceProblem;
using test::tensor;

constexpr RidgeMethod all_methods[] = {RidgeMethod::primal, RidgeMethod::dual, RidgeMethod::svd};
const std::vector<double> few_penalties = {0.003, 0.1, 2.0};

/// Everything that the path says of a penalty against fits without each row in turn.
void expect_equals_brute_force(const Problem& problem, const RidgePath& path, std::size_t at, double tolerance) {
  const double penalty = few_penalties[at];
  const std::int64_t n = problem.reference.x.rows, k = problem.reference.y.columns;
  const test::ReferenceFit fit = test::reference_fit(problem.reference, problem.total(penalty));
  expect_close(path.coefficients(penalty).to_vector<double>(), fit.coefficients.doubles(), tolerance, "coefficients");
  if (problem.reference.intercept) {
    expect_close(path.intercept(penalty).to_vector<double>(), {fit.intercept.begin(), fit.intercept.end()}, tolerance,
                 "intercept");
  }
  const Matrix left_out = test::reference_left_out(problem.reference, problem.total(penalty));
  expect_close(path.leave_one_out_residuals(penalty).to_vector<double>(), left_out.doubles(), tolerance, "left out");
  Matrix residuals(n, k);
  std::vector<double> per_output(static_cast<std::size_t>(k)), leverages;
  for (std::int64_t i = 0; i < n; ++i) {
    const long double weight =
        problem.reference.weights.empty() ? 1.0L : problem.reference.weights[static_cast<std::size_t>(i)];
    for (std::int64_t o = 0; o < k; ++o) {
      residuals(i, o) = problem.reference.y(i, o) - test::reference_prediction(problem.reference, fit, i, o);
      per_output[static_cast<std::size_t>(o)] +=
          static_cast<double>(weight * left_out(i, o) * left_out(i, o) / problem.sum_of_weights());
    }
    leverages.push_back(static_cast<double>(1 - residuals(i, 0) / left_out(i, 0)));
  }
  expect_close(path.residuals(penalty).to_vector<double>(), residuals.doubles(), tolerance, "residuals");
  expect_close(path.leverages(penalty).to_vector<double>(), leverages, tolerance, "leverages");
  const RidgeScores& scores = path.scores();
  const auto first = scores.leave_one_out_per_output.begin() + static_cast<std::ptrdiff_t>(at * per_output.size());
  expect_close({first, first + static_cast<std::ptrdiff_t>(per_output.size())}, per_output, tolerance, "per output");
  expect_close({scores.leave_one_out[at]},
               {std::accumulate(per_output.begin(), per_output.end(), 0.0) / static_cast<double>(k)}, tolerance,
               "total");
}

struct Size {
  std::int64_t n, p, k;
};

TEST(RidgePath, LeaveOneOutEqualsFittingWithoutEachRow) {
  for (const Device& device : test::devices()) {
    Random random(1);
    for (const auto& [n, p, k] : {Size{13, 5, 3}, {6, 9, 2}, {7, 7, 1}, {2, 4, 2}, {33, 31, 4}, {9, 1, 1}}) {
      for (int variant = 0; variant < 8; ++variant) {
        const bool intercept = (variant & 1) != 0, centre = (variant & 2) != 0, weights = (variant & 4) != 0;
        Problem problem(random_problem(n, p, k, random, intercept, centre, weights), device);
        for (const RidgeMethod method : all_methods) {
          SCOPED_TRACE(fmt::format("RTL_TEST_SEED={} n={} p={} k={} intercept={} centre={} weights={} method {} on {}",
                                   test::seed(), n, p, k, intercept, centre, weights, static_cast<int>(method),
                                   device.name()));
          problem.options.method = method;
          const RidgePath path(device, problem.x, problem.y, few_penalties, problem.options);
          EXPECT_EQ(path.method(), method);
          for (std::size_t at = 0; at < few_penalties.size(); ++at) {
            expect_equals_brute_force(problem, path, at, 1e-10);
          }
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

TEST(RidgePath, WeightsCountRepetitions) {
  const Device device = Device::cpu();
  Random random(2);
  ReferenceProblem weighted = random_problem(9, 4, 2, random, true, false, false);
  ReferenceProblem repeated = weighted;
  repeated.x = Matrix(0, 4);
  repeated.y = Matrix(0, 2);
  for (std::int64_t i = 0; i < 9; ++i) {
    const std::int64_t times = i % 3;
    weighted.weights.push_back(static_cast<long double>(times));
    for (std::int64_t t = 0; t < times; ++t) {
      for (std::int64_t j = 0; j < 4; ++j) repeated.x.values.push_back(weighted.x(i, j));
      for (std::int64_t o = 0; o < 2; ++o) repeated.y.values.push_back(weighted.y(i, o));
      ++repeated.x.rows;
      ++repeated.y.rows;
    }
  }
  const Problem by_weight(weighted, device), by_row(repeated, device);
  for (const RidgeMethod method : all_methods) {
    RidgeOptions weight_options = by_weight.options, row_options = by_row.options;
    weight_options.method = row_options.method = method;
    const RidgePath a(device, by_weight.x, by_weight.y, few_penalties, weight_options);
    const RidgePath b(device, by_row.x, by_row.y, few_penalties, row_options);
    for (const double penalty : few_penalties) {
      expect_close(a.coefficients(penalty).to_vector<double>(), b.coefficients(penalty).to_vector<double>(), 1e-11,
                   "W");
      expect_close(a.intercept(penalty).to_vector<double>(), b.intercept(penalty).to_vector<double>(), 1e-11, "b");
    }
    expect_close(a.scores().degrees_of_freedom, b.scores().degrees_of_freedom, 1e-11, "degrees of freedom");
    expect_close(a.scores().residual, b.scores().residual, 1e-11, "residual");
    // A row of weight 0 takes no part: its leave-one-out residual is that of the fit.
    EXPECT_NEAR(a.leave_one_out_residuals(0.1).to_vector<double>()[0], a.residuals(0.1).to_vector<double>()[0], 1e-11);
  }
}

TEST(RidgePath, ManyPenaltiesAgreeWithOneAtATime) {
  for (const Device& device : test::devices()) {
    Random random(3);
    for (const auto& [n, p, k] : {Size{300, 40, 3}, {40, 300, 2}}) {
      const Problem problem(random_problem(n, p, k, random, true, true, false), device);
      const std::vector<double> penalties = logarithmic_penalties(1e-5, 1e3, 100);
      for (const RidgeMethod method : all_methods) {
        SCOPED_TRACE(fmt::format("RTL_TEST_SEED={} n={} p={} method {}", test::seed(), n, p, static_cast<int>(method)));
        RidgeOptions options = problem.options;
        options.method = method;
        const RidgePath path(device, problem.x, problem.y, penalties, options);
        // With more columns than rows the primal form takes residuals, here down to 1e-5 of the targets, as
        // differences.
        const double tolerance = method == RidgeMethod::primal && p > n ? 1e-7 : 1e-10;
        for (const std::size_t at :
             {std::size_t{0}, std::size_t{17}, std::size_t{50}, std::size_t{83}, std::size_t{99}}) {
          const RidgeScores alone = path.evaluate({&penalties[at], 1});
          EXPECT_NEAR(path.scores().leave_one_out[at] / alone.leave_one_out[0], 1, tolerance) << at;
          EXPECT_NEAR(path.scores().gcv[at] / alone.gcv[0], 1, tolerance) << at;
          const std::vector<double> errors = path.leave_one_out_residuals(penalties[at]).to_vector<double>();
          double mean = 0;
          for (const double error : errors) mean += error * error / static_cast<double>(errors.size());
          EXPECT_NEAR(mean / alone.leave_one_out[0], 1, tolerance) << at;
        }
        const auto& scores = path.scores().leave_one_out;
        EXPECT_EQ(path.scores().best,
                  static_cast<std::size_t>(std::min_element(scores.begin(), scores.end()) - scores.begin()));
      }
    }
  }
}

TEST(RidgePath, GcvWithoutTheRowsIsTheSame) {
  const Device device = Device::cpu();
  Random random(4);
  for (const auto& [n, p, k] : {Size{60, 20, 3}, {20, 60, 2}}) {
    const Problem problem(random_problem(n, p, k, random, true, false, true), device);
    for (const RidgeMethod method : all_methods) {
      RidgeOptions options = problem.options;
      options.method = method;
      const RidgePath full(device, problem.x, problem.y, few_penalties, options);
      options.leave_one_out = false;
      const RidgePath brief(device, problem.x, problem.y, few_penalties, options);
      EXPECT_TRUE(brief.scores().leave_one_out.empty());
      expect_close(brief.scores().gcv, full.scores().gcv, 1e-9, "gcv");
      expect_close(brief.scores().residual, full.scores().residual, 1e-9, "residual");
    }
  }
}

TEST(RidgePath, ExposesWhatALikelihoodNeeds) {
  const Device device = Device::cpu();
  Random random(5);
  for (const auto& [n, p, k] : {Size{12, 5, 2}, {5, 12, 2}}) {
    const Problem problem(random_problem(n, p, k, random, true, false, false), device);
    std::vector<std::vector<double>> eigenvalues, squares;
    for (const RidgeMethod method : all_methods) {
      RidgeOptions options = problem.options;
      options.method = method;
      const RidgePath path(device, problem.x, problem.y, {}, options);
      EXPECT_EQ(path.eigenvalues().size(), 5U);
      eigenvalues.push_back(path.eigenvalues());
      std::vector<double> square;
      for (std::size_t i = 0; i < path.rotated_targets().size(); ++i) {
        square.push_back(path.rotated_targets()[i] * path.rotated_targets()[i]);
      }
      squares.push_back(square);
      expect_close(path.eigenvalues(), eigenvalues.front(), 1e-12, "eigenvalues");
      expect_close(square, squares.front(), 1e-10, "squares of rotated targets");
      EXPECT_NEAR(path.condition(1.0),
                  (path.eigenvalues().back() + static_cast<double>(n)) /
                      ((p > n ? 0 : path.eigenvalues().front()) + static_cast<double>(n)),
                  1e-9);
    }
  }
}

TEST(RidgePath, SinglePrecisionInputAndArithmetic) {
  for (const Device& device : test::devices()) {
    Random random(6);
    for (const auto& [n, p, k] : {Size{500, 40, 3}, {60, 200, 2}}) {
      const Problem wide(random_problem(n, p, k, random, true, true, true), device);
      const Problem narrow(wide.reference, device, DType::f32);
      const RidgePath exact(device, wide.x, wide.y, few_penalties, wide.options);
      const RidgePath input(device, narrow.x, narrow.y, few_penalties, narrow.options);
      RidgeOptions options = narrow.options;
      options.arithmetic = RidgeArithmetic::f32;
      const RidgePath fast(device, narrow.x, narrow.y, few_penalties, options);
      expect_close(input.scores().leave_one_out, exact.scores().leave_one_out, 1e-6, "f32 input");
      expect_close(fast.scores().leave_one_out, exact.scores().leave_one_out, 3e-5, "f32 arithmetic");
      expect_close(fast.coefficients(0.1).to_vector<double>(), exact.coefficients(0.1).to_vector<double>(), 3e-5, "W");
    }
  }
}

TEST(RidgePath, PredictsNewRows) {
  for (const Device& device : test::devices()) {
    Random random(7);
    const Problem problem(random_problem(20, 6, 2, random, true, false, false), device);
    const RidgePath path(device, problem.x, problem.y, few_penalties, problem.options);
    const test::ReferenceFit fit = test::reference_fit(problem.reference, problem.total(0.1));
    ReferenceProblem fresh = random_problem(11, 6, 2, random, true, false, false);
    Matrix want(11, 2);
    for (std::int64_t i = 0; i < 11; ++i) {
      for (std::int64_t o = 0; o < 2; ++o) want(i, o) = test::reference_prediction(fresh, fit, i, o);
    }
    expect_close(path.predict(tensor(fresh.x, device), 0.1).to_vector<double>(), want.doubles(), 1e-12, "predictions");
    expect_close(path.predict(tensor(fresh.x, device, DType::f32), 0.1).to_vector<double>(), want.doubles(), 1e-6,
                 "f32");
  }
}

TEST(RidgePath, IsReproducible) {
  for (const Device& device : test::devices()) {
    Random random(8);
    const Problem problem(random_problem(1500, 33, 3, random, true, false, true), device);
    const RidgePath first(device, problem.x, problem.y, few_penalties, problem.options);
    const RidgePath second(device, problem.x, problem.y, few_penalties, problem.options);
    EXPECT_EQ(first.scores().leave_one_out, second.scores().leave_one_out);
    EXPECT_EQ(first.coefficients(0.1).to_vector<double>(), second.coefficients(0.1).to_vector<double>());
  }
}

TEST(Ridge, CholeskyAgreesWithTheReference) {
  for (const Device& device : test::devices()) {
    Random random(9);
    for (const auto& [n, p, k] : {Size{13, 5, 3}, {6, 9, 2}, {33, 31, 1}}) {
      for (int variant = 0; variant < 8; ++variant) {
        Problem problem(random_problem(n, p, k, random, (variant & 1) != 0, (variant & 2) != 0, (variant & 4) != 0),
                        device);
        for (const RidgeMethod method : all_methods) {
          problem.options.method = method;
          const RidgeFit fit = ridge(device, problem.x, problem.y, 0.1, problem.options);
          const test::ReferenceFit want = test::reference_fit(problem.reference, problem.total(0.1));
          expect_close(fit.coefficients.to_vector<double>(), want.coefficients.doubles(), 1e-11, "W");
          if (problem.reference.intercept) {
            expect_close(fit.intercept.to_vector<double>(), {want.intercept.begin(), want.intercept.end()}, 1e-11, "b");
          }
          EXPECT_GE(fit.condition, 1);
        }
      }
    }
  }
}

TEST(Penalties, ConventionsAndGrids) {
  EXPECT_DOUBLE_EQ(penalty_from_sklearn(50, 200), 0.25);
  EXPECT_DOUBLE_EQ(penalty_to_sklearn(0.25, 200), 50);
  const std::vector<double> grid = logarithmic_penalties(1e-2, 1e2, 5);
  expect_close(grid, {1e-2, 1e-1, 1, 10, 100}, 1e-15, "grid");
  EXPECT_EQ(grid.front(), 1e-2);
  EXPECT_EQ(grid.back(), 1e2);
  EXPECT_EQ(logarithmic_penalties(3, 3, 1), std::vector<double>{3});
  EXPECT_THROW(logarithmic_penalties(0, 1, 3), ValueError);
  EXPECT_THROW(logarithmic_penalties(2, 1, 3), ValueError);
  EXPECT_THROW(logarithmic_penalties(1, 2, 1), ValueError);
  EXPECT_THROW(penalty_from_sklearn(1, 0), ValueError);
}

}  // namespace
}  // namespace rtl::solvers
