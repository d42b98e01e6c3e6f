// Randomized singular vectors against the matrix they stand for.
#include "rtl/solvers/randomized_svd.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/solvers/ridge_path.hpp"
#include "solvers/problems.hpp"
#include "support/devices.hpp"

namespace rtl::solvers {
namespace {

using kernels::Transpose;
using test::expect_close;
using test::Matrix;
using test::Random;

/// n x p with singular values that fall like 0.7^i.
Matrix decaying(std::int64_t n, std::int64_t p, Random& random) {
  const std::int64_t terms = std::min(n, p);
  Matrix result(n, p);
  for (std::int64_t t = 0; t < terms; ++t) {
    const auto left = random.normal({n}), right = random.normal({p});
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < p; ++j) {
        result(i, j) += std::pow(0.7L, static_cast<long double>(t)) * left[static_cast<std::size_t>(i)] *
                        right[static_cast<std::size_t>(j)];
      }
    }
  }
  return result;
}

double product_error(const Device& device, const Tensor& x, const RandomizedSvd& svd, double& spectral) {
  const std::int64_t n = x.extent(0), p = x.extent(1), rank = svd.values.extent(0);
  const auto a = x.to_vector<double>(), u = svd.left.to_vector<double>(), s = svd.values.to_vector<double>(),
             vt = svd.right.to_vector<double>();
  std::vector<double> rest(a);
  double squares = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < p; ++j) {
      double& element = rest[static_cast<std::size_t>(i * p + j)];
      for (std::int64_t l = 0; l < rank; ++l) {
        element -= u[static_cast<std::size_t>(i * rank + l)] * s[static_cast<std::size_t>(l)] *
                   vt[static_cast<std::size_t>(l * p + j)];
      }
      squares += element * element;
    }
  }
  Tensor matrix = Tensor::from(rest, {n, p}, device);
  const std::int64_t q = std::min(n, p);
  Tensor left({n, q}, DType::f64, device), values({q}, DType::f64, device), right({q, p}, DType::f64, device);
  kernels::svd(device, matrix, left, values, right);
  spectral = values.to_vector<double>()[0];
  return std::sqrt(squares);
}

TEST(RandomizedSvd, FindsTheLeadingPartAndKnowsItsError) {
  for (const Device& device : test::devices()) {
    Random random(51);
    for (const auto& [n, p] : {std::pair<std::int64_t, std::int64_t>{40, 150}, {120, 30}, {33, 33}}) {
      const Tensor x = test::tensor(decaying(n, p, random), device);
      Tensor copy = x.clone();
      const std::int64_t q = std::min(n, p);
      Tensor left({n, q}, DType::f64, device), values({q}, DType::f64, device), right({q, p}, DType::f64, device);
      kernels::svd(device, copy, left, values, right);
      const std::vector<double> exact = values.to_vector<double>();
      const RandomizedSvd found = randomized_svd(device, x, {.rank = 8, .oversampling = 6, .seed = 5});
      SCOPED_TRACE(fmt::format("RTL_TEST_SEED={} {}x{} on {}", test::seed(), n, p, device.name()));
      expect_close(found.values.to_vector<double>(), {exact.begin(), exact.begin() + 8}, 1e-4, "values");
      double spectral = 0;
      const double error = product_error(device, x, found, spectral);
      EXPECT_NEAR(found.frobenius_error / error, 1, 1e-6);
      double best = 0;
      for (std::size_t i = 8; i < exact.size(); ++i) best += exact[i] * exact[i];
      EXPECT_LE(error, 1.05 * std::sqrt(best));
      // The bound speaks of 14 directions, so it may lie below the error of the leading 8 of them, but not below that
      // of 14.
      EXPECT_GE(found.range_error_bound, exact[14]);
      EXPECT_GE(spectral, exact[8] * (1 - 1e-9));
      Tensor unit({8, 8}, DType::f64, device);
      std::vector<double> identity(64, 0.0);
      for (std::size_t i = 0; i < 8; ++i) identity[9 * i] = 1;
      kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, found.left, found.left, 0.0, unit);
      expect_close(unit.to_vector<double>(), identity, 1e-12, "U'U");
      kernels::gemm(device, Transpose::no, Transpose::yes, 1.0, found.right, found.right, 0.0, unit);
      expect_close(unit.to_vector<double>(), identity, 1e-12, "V'V");
      const RandomizedSvd again = randomized_svd(device, x, {.rank = 8, .oversampling = 6, .seed = 5});
      EXPECT_EQ(again.left.to_vector<double>(), found.left.to_vector<double>());
    }
  }
}

TEST(RandomizedSvd, SinglePrecisionInputAndFullRank) {
  const Device device = Device::cpu();
  Random random(52);
  const Matrix matrix = decaying(12, 20, random);
  const RandomizedSvd wide = randomized_svd(device, test::tensor(matrix, device), {.rank = 12});
  const RandomizedSvd narrow = randomized_svd(device, test::tensor(matrix, device, DType::f32), {.rank = 12});
  expect_close(narrow.values.to_vector<double>(), wide.values.to_vector<double>(), 1e-6, "values");
  const double largest = wide.values.to_vector<double>()[0];
  EXPECT_LE(wide.frobenius_error, 1e-6 * largest);
  EXPECT_LE(wide.range_error_bound, 1e-11 * largest);
}

// Ridge on a wide matrix by its leading singular vectors: features X V, coefficients V theta.
TEST(RandomizedSvd, RidgeOnTheLeadingDirectionsIsThatOfTheWholeMatrix) {
  for (const Device& device : test::devices()) {
    Random random(53);
    constexpr std::int64_t n = 30, p = 400, rank = 6;
    Matrix matrix(n, p);
    const Matrix left = test::random_matrix(n, rank, random), right = test::random_matrix(rank, p, random);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < p; ++j) {
        for (std::int64_t l = 0; l < rank; ++l) matrix(i, j) += left(i, l) * right(l, j);
      }
    }
    const Tensor x = test::tensor(matrix, device), y = test::tensor(test::random_matrix(n, 2, random), device);
    const std::vector<double> penalties = {1e-3, 0.1, 10};
    const RidgeOptions options{.intercept = false};
    const RidgePath whole(device, x, y, penalties, options);
    const RandomizedSvd found = randomized_svd(device, x, {.rank = rank});
    Tensor features({n, rank}, DType::f64, device), coefficients({p, 2}, DType::f64, device);
    kernels::gemm(device, Transpose::no, Transpose::yes, 1.0, x, found.right, 0.0, features);
    const RidgePath narrow(device, features, y, penalties, options);
    SCOPED_TRACE(fmt::format("RTL_TEST_SEED={} on {}", test::seed(), device.name()));
    expect_close(narrow.scores().leave_one_out, whole.scores().leave_one_out, 1e-9, "leave-one-out");
    for (const double penalty : penalties) {
      kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, found.right, narrow.coefficients(penalty), 0.0,
                    coefficients);
      expect_close(coefficients.to_vector<double>(), whole.coefficients(penalty).to_vector<double>(), 1e-9, "W");
    }
  }
}

TEST(RandomizedSvd, RefusesWithTheReason) {
  const Device device = Device::cpu();
  const Tensor x = Tensor::zeros({4, 6}, DType::f64, device);
  EXPECT_THROW(randomized_svd(device, x, {.rank = 0}), ValueError);
  EXPECT_THROW(randomized_svd(device, x, {.rank = 5}), ValueError);
  EXPECT_THROW(randomized_svd(device, x, {.rank = 1, .oversampling = -1}), ValueError);
  EXPECT_THROW(randomized_svd(device, Tensor::zeros({4}, DType::f64, device), {.rank = 1}), ShapeError);
  std::vector<double> entries(24, 1.0);
  entries[8] = NAN;
  try {
    randomized_svd(device, Tensor::from(entries, {4, 6}, device), {.rank = 1});
    ADD_FAILURE() << "NaN was taken";
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("'x' [1, 2] is nan"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace rtl::solvers
