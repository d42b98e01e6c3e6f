// RidgePath against golden values that were computed in NumPy: tests/golden/solvers/g7_path_loo_gcv.json, whose data
// tests/golden/README.md defines.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "rtl/solvers/ridge_path.hpp"
#include "solvers/problems.hpp"
#include "support/devices.hpp"
#include "support/golden.hpp"

namespace rtl::solvers {
namespace {

using test::Matrix;
using test::Problem;
using test::ReferenceProblem;

constexpr RidgeMethod all_methods[] = {RidgeMethod::primal, RidgeMethod::dual, RidgeMethod::svd};
constexpr double penalties[] = {0.01, 0.1, 1};

// The scores are kept here too, so that they are tested without the file.
struct Golden {
  const char* name;
  std::int64_t n, p;
  bool intercept;
  double leave_one_out[3], gcv[3], degrees_of_freedom[3];
};

constexpr Golden golden[] = {{"primal",
                              12,
                              5,
                              false,
                              {0.987348301958, 0.807601748962, 0.89737855699},
                              {1.04876288735, 0.86661373241, 0.907211058078},
                              {4.09500062185, 3.08180798623, 1.31562443258}},
                             {"primal_ic",
                              12,
                              5,
                              true,
                              {0.0164663748498, 0.0856269807784, 0.431323357011},
                              {0.0121335770015, 0.0772985568345, 0.433123240909},
                              {5.09169170218, 4.07211927328, 2.29543929111}},
                             {"dual",
                              6,
                              9,
                              false,
                              {0.743965366931, 1.03540840391, 1.7318430617},
                              {0.4813780283, 0.916773086611, 1.68921555583},
                              {4.45353870936, 3.49864962555, 1.82253835115}},
                             {"dual_ic",
                              6,
                              9,
                              true,
                              {0.0446397406978, 0.187045775158, 1.01341817483},
                              {0.0148709699626, 0.121024262299, 1.02593929409},
                              {4.88132997008, 4.04669819092, 2.68210332453}}};

Matrix sines(std::int64_t rows, std::int64_t columns, long double phase) {
  Matrix matrix(rows, columns);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      matrix(i, j) = std::sin(phase + 0.7L * static_cast<long double>(i) + 1.3L * static_cast<long double>(j * j) +
                              0.11L * static_cast<long double>(i * j));
    }
  }
  return matrix;
}

ReferenceProblem problem_of(const Golden& want) {
  ReferenceProblem problem;
  problem.intercept = want.intercept;
  problem.x = sines(want.n, want.p, 1);
  problem.centre = sines(want.p, 2, 3);
  for (long double& value : problem.centre.values) value *= 0.5L;
  const Matrix b = sines(want.p, 2, 4), noise = sines(want.n, 2, 6);
  problem.y = Matrix(want.n, 2);
  for (std::int64_t i = 0; i < want.n; ++i) {
    for (std::int64_t o = 0; o < 2; ++o) {
      problem.y(i, o) = 0.3L * noise(i, o) + 0.7L;
      for (std::int64_t j = 0; j < want.p; ++j) problem.y(i, o) += problem.x(i, j) * b(j, o);
    }
  }
  return problem;
}

/// Calls check(golden, path) for every case, method and device.
template <typename Check>
void for_each_path(const Check& check) {
  for (const Device& device : test::devices()) {
    for (const Golden& want : golden) {
      Problem given(problem_of(want), device);
      for (const RidgeMethod method : all_methods) {
        SCOPED_TRACE(fmt::format("{} by method {} on {}", want.name, static_cast<int>(method), device.name()));
        given.options.method = method;
        check(want, RidgePath(device, given.x, given.y, penalties, given.options));
      }
    }
  }
}

TEST(GoldenPath, Scores) {
  for_each_path([](const Golden& want, const RidgePath& path) {
    for (std::size_t l = 0; l < 3; ++l) {
      EXPECT_NEAR(path.scores().leave_one_out[l] / want.leave_one_out[l], 1, 1e-9);
      EXPECT_NEAR(path.scores().gcv[l] / want.gcv[l], 1, 1e-9);
      EXPECT_NEAR(path.scores().degrees_of_freedom[l] / want.degrees_of_freedom[l], 1, 1e-9);
    }
  });
}

/// All numbers of a nested list of texts.
std::vector<double> numbers(const nlohmann::json& list) {
  if (list.is_string()) return {std::stod(list.get<std::string>())};
  std::vector<double> all;
  for (const auto& item : list) {
    const std::vector<double> inner = numbers(item);
    all.insert(all.end(), inner.begin(), inner.end());
  }
  return all;
}

void expect_golden(const Tensor& got, const nlohmann::json& want, const char* what) {
  const std::vector<double> values = got.to_vector<double>(), expected = numbers(want);
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (std::size_t i = 0; i < values.size(); ++i) {
    RTL_EXPECT_GOLDEN(values[i], expected[i]) << what << " [" << i << "]";
  }
}

TEST(GoldenPath, CoefficientsInterceptsAndLeverages) {
  std::ifstream file(test::golden_file("solvers/g7_path_loo_gcv.json"));
  const nlohmann::json all = nlohmann::json::parse(file);
  for_each_path([&](const Golden& want, const RidgePath& path) {
    const nlohmann::json& results = all.at(want.name).at("results");
    ASSERT_EQ(results.size(), std::size(penalties));
    for (const double penalty : penalties) {
      const nlohmann::json& at = results.at(fmt::format("tau={}", penalty));
      expect_golden(path.coefficients(penalty), at.at("W"), "W");
      expect_golden(path.intercept(penalty), at.at("b"), "b");
      expect_golden(path.leverages(penalty), at.at("leverage"), "leverage");
    }
  });
}

}  // namespace
}  // namespace rtl::solvers
