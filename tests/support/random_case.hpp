// Random spectra, rotations and vectors for tests, from the seed that failures print.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "support/random.hpp"

namespace rtl::test {

class RandomCase {
 public:
  explicit RandomCase(std::uint64_t stream, std::uint64_t seed = test::seed()) : engine_(mix(seed, stream)) {}

  static std::string trace() { return "RTL_TEST_SEED=" + std::to_string(seed()); }

  double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine_); }
  double logarithmic(double low, double high) { return std::exp(uniform(std::log(low), std::log(high))); }
  std::size_t whole(std::size_t low, std::size_t high) {
    return std::uniform_int_distribution<std::size_t>(low, high)(engine_);
  }
  std::vector<double> normal(std::int64_t count) {
    std::normal_distribution<double> distribution;
    std::vector<double> values(static_cast<std::size_t>(count));
    for (double& value : values) value = distribution(engine_);
    return values;
  }
  /// Positive eigenvalues over three decades.
  std::vector<double> spectrum(std::size_t count) {
    std::vector<double> values(count);
    for (double& value : values) value = logarithmic(1e-2, 1e1);
    return values;
  }
  /// Row-major [p, p], orthogonal: Gram-Schmidt, twice, of Gaussian rows.
  std::vector<double> rotation(std::int64_t dimension) {
    const auto p = static_cast<std::size_t>(dimension);
    std::vector<double> rows = normal(dimension * dimension);
    for (std::size_t i = 0; i < p; ++i) {
      double* row = &rows[i * p];
      for (int pass = 0; pass < 2; ++pass) {
        for (std::size_t k = 0; k < i; ++k) {
          double inner = 0;
          for (std::size_t j = 0; j < p; ++j) inner += row[j] * rows[k * p + j];
          for (std::size_t j = 0; j < p; ++j) row[j] -= inner * rows[k * p + j];
        }
      }
      double norm = 0;
      for (std::size_t j = 0; j < p; ++j) norm += row[j] * row[j];
      for (std::size_t j = 0; j < p; ++j) row[j] /= std::sqrt(norm);
    }
    return rows;
  }

 private:
  std::mt19937_64 engine_;
};

/// Q' diag(spectrum) Q.
inline Tensor matrix(const std::vector<double>& rotation, const std::vector<double>& spectrum) {
  const std::size_t p = spectrum.size();
  std::vector<double> values(p * p, 0.0);
  for (std::size_t k = 0; k < p; ++k) {
    for (std::size_t i = 0; i < p; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        values[i * p + j] += rotation[k * p + i] * spectrum[k] * rotation[k * p + j];
      }
    }
  }
  for (std::size_t i = 0; i < p; ++i) {
    for (std::size_t j = 0; j < i; ++j) values[j * p + i] = values[i * p + j];
  }
  const auto extent = static_cast<std::int64_t>(p);
  return Tensor::from(values, {extent, extent}, Device::cpu());
}

/// Q' v.
inline std::vector<double> turn(const std::vector<double>& rotation, const std::vector<double>& vector) {
  const std::size_t p = vector.size();
  std::vector<double> result(p, 0.0);
  for (std::size_t k = 0; k < p; ++k) {
    for (std::size_t j = 0; j < p; ++j) result[j] += rotation[k * p + j] * vector[k];
  }
  return result;
}

}  // namespace rtl::test
