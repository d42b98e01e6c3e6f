// Plain matrix arithmetic of tests: rows of doubles, loops, and eigenvectors by Jacobi rotations.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::test {

using Rows = std::vector<std::vector<double>>;

inline Rows rows(const Tensor& tensor) {
  const auto values = tensor.to_vector<double>();
  const auto columns = static_cast<std::size_t>(tensor.rank() == 2 ? tensor.extent(1) : 1);
  Rows result(values.size() / columns);
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i].assign(values.begin() + static_cast<std::ptrdiff_t>(i * columns),
                     values.begin() + static_cast<std::ptrdiff_t>((i + 1) * columns));
  }
  return result;
}

inline Tensor tensor(const Rows& rows) {
  std::vector<double> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  return Tensor::from(values, {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows[0].size())},
                      Device::cpu());
}

inline Rows times(const Rows& a, const Rows& b) {
  Rows result(a.size(), std::vector<double>(b[0].size(), 0.0));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < b.size(); ++k) {
      for (std::size_t j = 0; j < b[0].size(); ++j) result[i][j] += a[i][k] * b[k][j];
    }
  }
  return result;
}

inline Rows transposed(const Rows& a) {
  Rows result(a[0].size(), std::vector<double>(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[0].size(); ++j) result[j][i] = a[i][j];
  }
  return result;
}

inline Rows scaled_identity(std::size_t size, double value) {
  Rows result(size, std::vector<double>(size, 0.0));
  for (std::size_t i = 0; i < size; ++i) result[i][i] = value;
  return result;
}

/// The inverse, by Gauss-Jordan elimination with pivots.
inline Rows inverse(Rows a) {
  const std::size_t n = a.size();
  Rows result = scaled_identity(n, 1);
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < n; ++i) {
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    }
    std::swap(a[k], a[pivot]);
    std::swap(result[k], result[pivot]);
    const double scale = 1 / a[k][k];
    for (std::size_t j = 0; j < n; ++j) {
      a[k][j] *= scale;
      result[k][j] *= scale;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double factor = a[i][k];
      if (i == k || factor == 0) continue;
      for (std::size_t j = 0; j < n; ++j) {
        a[i][j] -= factor * a[k][j];
        result[i][j] -= factor * result[k][j];
      }
    }
  }
  return result;
}

/// Eigenvalues and eigenvectors (columns of `vectors`) of a symmetric matrix.
inline std::vector<double> jacobi(Rows a, Rows& vectors) {
  const std::size_t n = a.size();
  vectors = scaled_identity(n, 1);
  for (int sweep = 0; sweep < 30; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (std::abs(a[p][q]) < 1e-300) continue;
        const double angle = 0.5 * std::atan2(2 * a[p][q], a[p][p] - a[q][q]);
        const double c = std::cos(angle), s = std::sin(angle);
        for (std::size_t i = 0; i < n; ++i) {
          const double x = a[i][p], y = a[i][q];
          a[i][p] = c * x + s * y;
          a[i][q] = c * y - s * x;
        }
        for (std::size_t i = 0; i < n; ++i) {
          const double x = a[p][i], y = a[q][i];
          a[p][i] = c * x + s * y;
          a[q][i] = c * y - s * x;
          const double u = vectors[i][p], v = vectors[i][q];
          vectors[i][p] = c * u + s * v;
          vectors[i][q] = c * v - s * u;
        }
      }
    }
  }
  std::vector<double> values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(a[i][i]);
  return values;
}

/// A power of a positive definite matrix.
inline Rows power(const Rows& a, double exponent) {
  Rows vectors;
  const auto values = jacobi(a, vectors);
  Rows scaled = vectors;
  for (auto& row : scaled) {
    for (std::size_t j = 0; j < row.size(); ++j) row[j] *= std::pow(values[j], exponent);
  }
  Rows result = times(scaled, transposed(vectors));
  for (std::size_t i = 0; i < result.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) result[i][j] = result[j][i];
  }
  return result;
}

/// On the span of the columns: B (B'B)^-1 B'.
inline Rows projection(const Rows& b) { return times(times(b, inverse(times(transposed(b), b))), transposed(b)); }

inline void expect_near(const Rows& a, const Rows& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(a[0].size(), b[0].size());
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[0].size(); ++j) {
      largest = std::max(largest, std::abs(b[i][j]));
      difference = std::max(difference, std::abs(a[i][j] - b[i][j]));
    }
  }
  EXPECT_LE(difference, tolerance * largest);
}

}  // namespace rtl::test
