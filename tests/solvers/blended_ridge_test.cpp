#include "rtl/solvers/blended_ridge.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "rtl/core/error.hpp"
#include "solvers/dense_reference.hpp"
#include "support/devices.hpp"
#include "support/random_case.hpp"

namespace rtl::solvers {
namespace {

using test::RandomCase;
using test::Rows;

/// C + M X'(X M X' + n penalty)^-1 (y - X C), no intercept.
Rows ridge_in_metric(const Rows& metric, const Rows& x, const Rows& y, const Rows& centre, double total_penalty) {
  Rows kernel = test::times(test::times(x, metric), test::transposed(x));
  for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i][i] += total_penalty;
  Rows residual = y;
  const Rows fitted = test::times(x, centre);
  for (std::size_t i = 0; i < y.size(); ++i) {
    for (std::size_t j = 0; j < y[0].size(); ++j) residual[i][j] -= fitted[i][j];
  }
  Rows result = test::times(test::times(metric, test::transposed(x)), test::times(test::inverse(kernel), residual));
  for (std::size_t i = 0; i < result.size(); ++i) {
    for (std::size_t j = 0; j < result[0].size(); ++j) result[i][j] += centre[i][j];
  }
  return result;
}

double brute_leave_one_out(const Rows& metric, const Rows& x, const Rows& y, const Rows& centre, double total_penalty) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Rows other_x = x, other_y = y;
    other_x.erase(other_x.begin() + static_cast<std::ptrdiff_t>(i));
    other_y.erase(other_y.begin() + static_cast<std::ptrdiff_t>(i));
    const Rows prediction = test::times({x[i]}, ridge_in_metric(metric, other_x, other_y, centre, total_penalty));
    for (std::size_t j = 0; j < y[0].size(); ++j) sum += std::pow(y[i][j] - prediction[0][j], 2);
  }
  return sum / static_cast<double>(x.size() * y[0].size());
}

Rows random_rows(RandomCase& random, std::int64_t count, std::int64_t columns) {
  return test::rows(Tensor::from(random.normal(count * columns), {count, columns}, Device::cpu()));
}

class BlendedRidgeTest : public testing::Test {
 protected:
  static constexpr std::size_t p = 9, n = 6, k = 2;

  BlendedRidgeTest() : random(61) {
    metric = test::rows(test::matrix(random.rotation(p), random.spectrum(p)));
    sigma = test::rows(test::matrix(random.rotation(p), random.spectrum(p)));
    x = random_rows(random, n, p);
    y = random_rows(random, n, k);
    centre = random_rows(random, p, k);
  }
  /// (1 - identity - whitening) M + whitening Sigma^-1 + identity I, each of trace p.
  Rows blend(double identity, double whitening) const {
    const auto unit = [](Rows a) {
      double trace = 0;
      for (std::size_t i = 0; i < a.size(); ++i) trace += a[i][i];
      for (auto& row : a) {
        for (double& value : row) value *= static_cast<double>(p) / trace;
      }
      return a;
    };
    const Rows learnt = unit(metric), white = unit(test::inverse(sigma));
    Rows result = test::scaled_identity(p, identity);
    for (std::size_t i = 0; i < p; ++i) {
      for (std::size_t j = 0; j < p; ++j) {
        result[i][j] += (1 - identity - whitening) * learnt[i][j] + whitening * white[i][j];
      }
    }
    return result;
  }

  RandomCase random;
  Rows metric, sigma, x, y, centre;
  std::vector<double> penalties = {0.01, 0.3, 5};
};

TEST_F(BlendedRidgeTest, ChoosesByTheLeaveOneOutErrorOfBruteForce) {
  const Tensor white = test::tensor(sigma), start = test::tensor(centre);
  for (const Device& device : test::devices()) {
    for (const bool with_centre : {false, true}) {
      const BlendedRidge ridge(test::tensor(metric), {.identity_shares = {0, 0.3, 1}, .whitening = white});
      EXPECT_EQ(ridge.candidates(), 6);
      BlendedFitOptions options;
      if (with_centre) options.centre = start;
      const BlendedFit fit =
          ridge.fit(device, test::tensor(x).to(device), test::tensor(y).to(device), penalties, options);
      const Rows from = with_centre ? centre : Rows(p, std::vector<double>(k, 0.0));
      double least = std::numeric_limits<double>::infinity();
      for (const BlendCandidate& candidate : fit.candidates) {
        double best = std::numeric_limits<double>::infinity();
        for (const double penalty : penalties) {
          best = std::min(best, brute_leave_one_out(blend(candidate.identity, candidate.whitening), x, y, from,
                                                    static_cast<double>(n) * penalty));
        }
        EXPECT_NEAR(candidate.leave_one_out, best, 1e-9 * best) << RandomCase::trace();
        least = std::min(least, best);
      }
      EXPECT_NEAR(fit.chosen.leave_one_out, least, 1e-9 * least) << RandomCase::trace();
      const Rows expected = ridge_in_metric(blend(fit.chosen.identity, fit.chosen.whitening), x, y, from,
                                            static_cast<double>(n) * fit.chosen.penalty);
      test::expect_near(test::rows(fit.coefficients), expected, 1e-8);
    }
  }
}

TEST_F(BlendedRidgeTest, FitsAnIntercept) {
  const BlendedRidge ridge(test::tensor(metric), {.identity_shares = {1}});
  Rows shifted = y;
  for (auto& row : shifted) {
    for (double& value : row) value += 100;
  }
  const std::vector<double> one = {0.5};
  const auto fit = [&](const Rows& targets) {
    return ridge.fit(Device::cpu(), test::tensor(x), test::tensor(targets), one, {.intercept = true});
  };
  const BlendedFit at_zero = fit(y), moved = fit(shifted);
  test::expect_near(test::rows(moved.coefficients), test::rows(at_zero.coefficients), 1e-9);
  EXPECT_NEAR(moved.intercept.to_vector<double>()[0], at_zero.intercept.to_vector<double>()[0] + 100, 1e-9);
}

TEST_F(BlendedRidgeTest, RefusesBadArguments) {
  const Tensor good = test::tensor(metric);
  EXPECT_THROW(BlendedRidge(good, {.identity_shares = {}}), ValueError);
  EXPECT_THROW(BlendedRidge(good, {.identity_shares = {1.1}}), ValueError);
  EXPECT_THROW(BlendedRidge(test::tensor(test::scaled_identity(3, 0))), ValueError);
  EXPECT_THROW(BlendedRidge(test::tensor(test::scaled_identity(3, -1))), ValueError);
  EXPECT_THROW(BlendedRidge(test::tensor(x)), ShapeError);
  const Tensor small = test::tensor(test::scaled_identity(3, 1));
  EXPECT_THROW(BlendedRidge(good, {.whitening = small}), ShapeError);
  const BlendedRidge ridge(good);
  const Device cpu = Device::cpu();
  EXPECT_THROW(ridge.fit(cpu, test::tensor(x), test::tensor(y), {}), ValueError);
  EXPECT_THROW(ridge.fit(cpu, test::tensor(y), test::tensor(y), penalties), ShapeError);
  EXPECT_THROW(ridge.fit(cpu, test::tensor(x), test::tensor(x), penalties, {.centre = small}), ShapeError);
  EXPECT_THROW(ridge.fit(cpu, test::tensor(x), test::tensor(y), std::vector<double>{-1}), ValueError);
}

}  // namespace
}  // namespace rtl::solvers
