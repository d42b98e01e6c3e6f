// Random ridge problems on a device, each with the reference's copy of it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "rtl/solvers/ridge_path.hpp"
#include "solvers/ridge_reference.hpp"
#include "support/random.hpp"

namespace rtl::test {

inline Tensor tensor(const Matrix& matrix, const Device& device, DType dtype = DType::f64) {
  const Shape shape{matrix.rows, matrix.columns};
  return dtype == DType::f64 ? Tensor::from(matrix.doubles(), shape, device)
                             : Tensor::from(matrix.floats(), shape, device);
}

inline Matrix random_matrix(std::int64_t rows, std::int64_t columns, Random& random, double mean = 0) {
  Matrix matrix(rows, columns);
  matrix.values = random.normal({rows, columns}, mean);
  return matrix;
}

/// A problem on a device, with the reference's copy of it.
struct Problem {
  ReferenceProblem reference;
  Tensor x, y, centre, weights;
  solvers::RidgeOptions options;

  Problem(ReferenceProblem problem, const Device& device, DType dtype = DType::f64) : reference(std::move(problem)) {
    x = tensor(reference.x, device, dtype);
    y = tensor(reference.y, device, dtype);
    options.intercept = reference.intercept;
    if (reference.centre.rows > 0) {
      centre = tensor(reference.centre, device);
      options.centre = centre;
    }
    if (!reference.weights.empty()) {
      weights = Tensor::from(std::vector<double>(reference.weights.begin(), reference.weights.end()),
                             {static_cast<std::int64_t>(reference.weights.size())}, device);
      options.sample_weights = weights;
    }
  }

  long double sum_of_weights() const {
    if (reference.weights.empty()) return static_cast<long double>(reference.x.rows);
    return std::accumulate(reference.weights.begin(), reference.weights.end(), 0.0L);
  }
  /// What the penalty is to the reference, which penalises sums.
  long double total(double penalty) const { return sum_of_weights() * static_cast<long double>(penalty); }
};

inline ReferenceProblem random_problem(std::int64_t n, std::int64_t p, std::int64_t k, Random& random, bool intercept,
                                       bool centre, bool weights) {
  ReferenceProblem problem;
  problem.intercept = intercept;
  problem.x = random_matrix(n, p, random, 0.7);
  problem.y = random_matrix(n, k, random, -2);
  if (centre) problem.centre = random_matrix(p, k, random);
  if (weights) problem.weights = random.uniform({n}, 0.2, 3);
  return problem;
}

inline void expect_close(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                         const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double scale = 0;
  for (const double value : want) scale = std::max(scale, std::fabs(value));
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], want[i], tolerance * scale) << what << " [" << i << "]";
}

}  // namespace rtl::test
