#include "rtl/theory/covariance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "rtl/core/error.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "solvers/domain.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;

namespace {

constexpr double tolerance = 1e-10;  // of the largest value, for asymmetry and negative eigenvalues

std::vector<double> host_copy(ConstView matrix) {
  if (matrix.rank() != 2 || matrix.extent(0) != matrix.extent(1) || matrix.extent(0) == 0) {
    throw ShapeError(fmt::format("Covariance::dense: matrix is {}; it must be [p, p]", matrix.shape().to_string()));
  }
  matrix.data_as<double>();
  std::vector<double> values(static_cast<std::size_t>(matrix.count()));
  const Device host = matrix.device().host();
  copy_bytes(matrix, View(values.data(), DType::f64, matrix.shape(), host));
  return values;
}

void check_symmetric(const std::vector<double>& values, std::size_t p) {
  double largest = 0;
  for (const double value : values) {
    domain::finite("Covariance::dense", "a value of matrix", value);
    largest = std::max(largest, std::abs(value));
  }
  for (std::size_t i = 0; i < p; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (std::abs(values[i * p + j] - values[j * p + i]) > tolerance * largest) {
        throw ValueError(
            fmt::format("Covariance::dense: matrix[{}, {}] is {}, matrix[{}, {}] is {}; it must be symmetric", i, j,
                        values[i * p + j], j, i, values[j * p + i]));
      }
    }
  }
}

}  // namespace

Covariance::Covariance(std::vector<double> eigenvalues, std::vector<double> eigenvectors)
    : eigenvalues_(std::move(eigenvalues)), eigenvectors_(std::move(eigenvectors)) {}

Covariance Covariance::isotropic(std::int64_t dimension, double variance) {
  domain::positive("Covariance::isotropic", "dimension", static_cast<double>(dimension));
  domain::positive("Covariance::isotropic", "variance", variance);
  return {std::vector<double>(static_cast<std::size_t>(dimension), variance), {}};
}

Covariance Covariance::diagonal(std::vector<double> variances) {
  domain::spectrum("Covariance::diagonal", "variances", variances);
  return {std::move(variances), {}};
}

Covariance Covariance::power_law(std::int64_t dimension, double exponent) {
  domain::positive("Covariance::power_law", "dimension", static_cast<double>(dimension));
  domain::finite("Covariance::power_law", "exponent", exponent);
  std::vector<double> variances(static_cast<std::size_t>(dimension));
  double sum = 0;
  for (std::size_t i = variances.size(); i-- > 0;) {
    variances[i] = std::pow(static_cast<double>(i + 1), -exponent);
    sum += variances[i];
  }
  for (double& variance : variances) variance *= static_cast<double>(dimension) / sum;
  return {std::move(variances), {}};
}

Covariance Covariance::dense(ConstView matrix) {
  std::vector<double> values = host_copy(matrix);
  const auto p = static_cast<std::size_t>(matrix.extent(0));
  check_symmetric(values, p);
  std::vector<double> eigenvalues(p);
  const Device cpu = matrix.device().host();
  kernels::symmetric_eigen(cpu, View(values.data(), DType::f64, matrix.shape(), cpu),
                           View(eigenvalues.data(), DType::f64, {matrix.extent(0)}, cpu));
  const double largest = std::max(eigenvalues.back(), 0.0);
  for (double& value : eigenvalues) {
    if (value < -tolerance * largest || (largest == 0 && value < 0)) {
      throw ValueError(
          fmt::format("Covariance::dense: matrix has the eigenvalue {}; a covariance has none below 0", value));
    }
    value = std::max(value, 0.0);
  }
  return {std::move(eigenvalues), std::move(values)};
}

std::vector<double> Covariance::coordinates(std::span<const double> vector) const {
  domain::count("Covariance::coordinates", "vector", vector.size(), eigenvalues_.size());
  if (is_diagonal()) return {vector.begin(), vector.end()};
  const std::size_t p = eigenvalues_.size();
  std::vector<double> result(p);
  for (std::size_t i = 0; i < p; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < p; ++j) sum += eigenvectors_[i * p + j] * vector[j];
    result[i] = sum;
  }
  return result;
}

}  // namespace rtl::theory
