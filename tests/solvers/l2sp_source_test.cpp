// L2SPSource: its solutions are ridge solutions, and its prior has the greatest likelihood.
#include "rtl/solvers/l2sp_source.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "solvers/ridge_reference.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace {

using rtl::Device;
using rtl::Tensor;
using rtl::solvers::L2SPSource;
using rtl::solvers::RidgePath;
using rtl::solvers::RidgePrior;
using rtl::test::Matrix;

/// -2 log likelihood of y ~ N(0, noise (I + delta X X')) with the best noise, the plain way: by the Cholesky factor of
/// the covariance; rows and targets have been made free of an intercept by an orthonormal basis of what is left.
double reference_deviance(const Matrix& x, const Matrix& y, double delta) {
  const std::int64_t n = x.rows;
  Matrix covariance(n, n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t l = 0; l < x.columns; ++l) covariance(i, j) += delta * x(i, l) * x(j, l);
      covariance(i, j) += i == j ? 1 : 0;
    }
  }
  long double log_determinant = 0;
  Matrix factor(n, n);
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = j; i < n; ++i) {
      long double value = covariance(i, j);
      for (std::int64_t l = 0; l < j; ++l) value -= factor(i, l) * factor(j, l);
      factor(i, j) = i == j ? std::sqrt(value) : value / factor(j, j);
    }
    log_determinant += 2 * std::log(factor(j, j));
  }
  long double total = 0;
  for (std::int64_t k = 0; k < y.columns; ++k) {
    Matrix solution(n, 1), copy = covariance;
    for (std::int64_t i = 0; i < n; ++i) solution(i, 0) = y(i, k);
    rtl::test::solve(copy, solution);
    long double quadratic = 0;
    for (std::int64_t i = 0; i < n; ++i) quadratic += y(i, k) * solution(i, 0);
    total += static_cast<long double>(n) * std::log(quadratic / static_cast<long double>(n)) + log_determinant;
  }
  return static_cast<double>(total);
}

/// Rows combined by Helmert's orthonormal contrasts: n rows with a mean become n - 1 without.
Matrix contrasts(const Matrix& values) {
  Matrix out(values.rows - 1, values.columns);
  for (std::int64_t i = 1; i < values.rows; ++i) {
    const long double norm = std::sqrt(static_cast<long double>(i * (i + 1)));
    for (std::int64_t j = 0; j < values.columns; ++j) {
      for (std::int64_t l = 0; l < i; ++l) out(i - 1, j) += values(l, j) / norm;
      out(i - 1, j) -= static_cast<long double>(i) * values(i, j) / norm;
    }
  }
  return out;
}

struct Sample {
  Matrix x, y;
  Sample(rtl::test::RandomTensors& random, std::int64_t n, std::int64_t p, std::int64_t k, double noise)
      : x(n, p), y(n, k) {
    const std::vector<double> inputs = random.values(n * p), weights = random.values(p * k),
                              rest = random.values(n * k);
    std::copy(inputs.begin(), inputs.end(), x.values.begin());
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t o = 0; o < k; ++o) {
        for (std::int64_t j = 0; j < p; ++j) y(i, o) += x(i, j) * weights[static_cast<std::size_t>(j * k + o)];
        y(i, o) += noise * rest[static_cast<std::size_t>(i * k + o)];
      }
    }
  }
  Tensor inputs(const Device& device) const { return Tensor::from(x.doubles(), {x.rows, x.columns}, device); }
  Tensor targets(const Device& device) const { return Tensor::from(y.doubles(), {y.rows, y.columns}, device); }
};

TEST(L2SPSource, ThePriorHasTheGreatestLikelihood) {
  for (const Device& device : rtl::test::devices()) {
    for (const auto& [n, p] : {std::pair{20, 6}, {8, 15}}) {
      for (const bool intercept : {true, false}) {
        SCOPED_TRACE(device.name() + ", n = " + std::to_string(n) + (intercept ? "" : ", no intercept"));
        rtl::test::RandomTensors random(rtl::test::fresh_seed());
        const Sample sample(random, n, p, 2, 1.0);
        const Tensor x = sample.inputs(device), y = sample.targets(device);
        const L2SPSource source(device, x, y, {.intercept = intercept});
        const RidgePrior& prior = source.prior();
        const Matrix inputs = intercept ? contrasts(sample.x) : sample.x;
        const Matrix targets = intercept ? contrasts(sample.y) : sample.y;
        const double delta = 1 / (n * prior.penalty);
        const double here = reference_deviance(inputs, targets, delta);
        EXPECT_NEAR(prior.deviance, here, 1e-7 * (1 + std::fabs(here)));
        if (prior.at_boundary) continue;
        for (double factor = 1e-6; factor < 2e6; factor *= 1.5) {
          EXPECT_LE(here, reference_deviance(inputs, targets, delta * factor) + 1e-6) << factor;
        }
        for (std::size_t o = 0; o < 2; ++o)
          EXPECT_NEAR(prior.signal[o], p * prior.noise[o] * delta, 1e-12 * prior.signal[o]);
      }
    }
  }
}

TEST(L2SPSource, FindsThePenaltyOfTheSourcesOwnVariances) {
  // tauS = noise p / (n ||w||^2): 40 samples of a source average the estimate's scatter down.
  const Device device = Device::cpu();
  const std::int64_t n = 200, p = 50;
  rtl::RandomSequence random(11, 3);
  double mean_log = 0;
  const int repetitions = 40;
  for (int r = 0; r < repetitions; ++r) {
    std::vector<double> x(static_cast<std::size_t>(n * p)), y(static_cast<std::size_t>(n)),
        w(static_cast<std::size_t>(p));
    double norm = 0;
    for (double& value : w) value = random.normal(), norm += value * value;
    for (double& value : w) value /= std::sqrt(norm);
    for (double& value : x) value = random.normal();
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < p; ++j)
        y[static_cast<std::size_t>(i)] += x[static_cast<std::size_t>(i * p + j)] * w[static_cast<std::size_t>(j)];
      y[static_cast<std::size_t>(i)] += random.normal();
    }
    const Tensor inputs = Tensor::from(x, {n, p}, device), targets = Tensor::from(y, {n}, device);
    const L2SPSource source(device, inputs, targets, {.intercept = false});
    mean_log += std::log(source.prior().penalty) / repetitions;
  }
  EXPECT_NEAR(mean_log, std::log(0.25), 0.15);
}

TEST(L2SPSource, SolutionsAreRidgeSolutionsAndAreKept) {
  for (const Device& device : rtl::test::devices()) {
    rtl::test::RandomTensors random(rtl::test::fresh_seed());
    const Sample sample(random, 12, 5, 2, 0.5);
    const Tensor x = sample.inputs(device), y = sample.targets(device);
    const L2SPSource source(device, x, y);
    const Tensor& first = source.coefficients(0.2);
    const Tensor& other = source.coefficients(2.0);
    EXPECT_EQ(&first, &source.coefficients(0.2));
    const RidgePath path(device, x, y, {});
    EXPECT_EQ(first.to_vector<double>(), path.coefficients(0.2).to_vector<double>());
    EXPECT_EQ(other.to_vector<double>(), path.coefficients(2.0).to_vector<double>());
    EXPECT_EQ(source.intercept(0.2).to_vector<double>(), path.intercept(0.2).to_vector<double>());
    const double best = source.leave_one_out_penalty();
    EXPECT_EQ(best, path.evaluate(rtl::solvers::spanning_penalties(path, 41)).best_penalty());
    EXPECT_THROW(source.coefficients(-1), rtl::ValueError);
  }
}

TEST(L2SPSource, RowsOfWeightZeroAreNotThere) {
  // Many rows for few columns: with fewer, the likelihood may be flat where it is largest.
  constexpr std::int64_t n = 30, p = 6;
  for (const Device& device : rtl::test::devices()) {
    for (const auto& [method, name] : {std::pair{rtl::solvers::RidgeMethod::primal, "primal"},
                                       {rtl::solvers::RidgeMethod::dual, "dual"},
                                       {rtl::solvers::RidgeMethod::svd, "svd"}}) {
      for (const bool intercept : {true, false}) {
        SCOPED_TRACE(device.name() + ", " + name + (intercept ? "" : ", no intercept"));
        rtl::test::RandomTensors random(rtl::test::fresh_seed());
        const Sample sample(random, n, p, 2, 1.0);
        std::vector<double> weights(static_cast<std::size_t>(n), 0.7);
        std::fill_n(weights.begin(), n / 3, 0.0);
        const Tensor x = sample.inputs(device), y = sample.targets(device), w = Tensor::from(weights, {n}, device);
        const L2SPSource weighted(device, x, y, {.intercept = intercept, .sample_weights = w, .method = method});
        const L2SPSource dropped(device, x.view().slice(0, n / 3, n), y.view().slice(0, n / 3, n),
                                 {.intercept = intercept, .method = method});
        const RidgePrior &got = weighted.prior(), &want = dropped.prior();
        EXPECT_EQ(weighted.path().counted_rows(), n - n / 3);
        EXPECT_NEAR(got.penalty / want.penalty, 1, 1e-5);
        EXPECT_EQ(got.at_boundary, want.at_boundary);
        EXPECT_NEAR(got.deviance, want.deviance, 1e-8 * (1 + std::fabs(want.deviance)));
        for (std::size_t o = 0; o < 2; ++o) {
          EXPECT_NEAR(got.noise[o] / want.noise[o], 1, 1e-5);
          EXPECT_NEAR(got.signal[o] / want.signal[o], 1, 1e-5);
        }
      }
    }
  }
}

TEST(L2SPSource, SourcesWithoutSignalOrWithoutNoiseHaveAPriorAtItsEnd) {
  const Device device = Device::cpu();
  rtl::test::RandomTensors random(rtl::test::fresh_seed());
  const Sample exact(random, 20, 4, 1, 0.0);
  const Tensor x = exact.inputs(device), y = exact.targets(device);
  const L2SPSource noiseless(device, x, y, {.intercept = false});
  EXPECT_LT(noiseless.prior().penalty, 1e-9);
  const Tensor constant = Tensor::from(std::vector<double>(20, 3.0), {20}, device);
  const L2SPSource nothing(device, x, constant);
  EXPECT_TRUE(nothing.prior().at_boundary);
  EXPECT_EQ(nothing.prior().signal[0], 0);
  EXPECT_GT(nothing.prior().penalty, 1e6);
  for (const double value : nothing.coefficients(nothing.prior().penalty).to_vector<double>())
    EXPECT_NEAR(value, 0, 1e-12);
  EXPECT_THROW(rtl::solvers::spanning_penalties(nothing.path(), 1), rtl::ValueError);
}

}  // namespace
