#include "studies/optimal_features/problem.hpp"

#include <cmath>

#include "rtl/kernels/gemm.hpp"
#include "studies/draws.hpp"

namespace rtl::studies::optimal_features {

using theory::Covariance;

std::vector<double> power_tasks(std::int64_t count, double exponent) {
  const auto inputs = theory::Covariance::power_law(count, exponent);
  const auto law = inputs.eigenvalues();
  std::vector<double> tasks(law.begin(), law.end());
  for (double& task : tasks) task /= static_cast<double>(count);
  return tasks;
}

std::vector<double> orthonormal_rows(std::int64_t count, std::int64_t p, std::uint64_t seed) {
  std::vector<double> rows = theory::standard_normals(seed, 400, count * p);
  for (std::int64_t i = 0; i < count; ++i) {
    double* row = rows.data() + i * p;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t k = 0; k < i; ++k) {
        const double* other = rows.data() + k * p;
        double along = 0;
        for (std::int64_t j = 0; j < p; ++j) along += row[j] * other[j];
        for (std::int64_t j = 0; j < p; ++j) row[j] -= along * other[j];
      }
    }
    double square = 0;
    for (std::int64_t j = 0; j < p; ++j) square += row[j] * row[j];
    for (std::int64_t j = 0; j < p; ++j) row[j] /= std::sqrt(square);
  }
  return rows;
}

Tensor combine(const std::vector<double>& rows, const std::vector<double>& values, std::int64_t p) {
  std::vector<double> sum(static_cast<std::size_t>(p * p), 0.0);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double* row = rows.data() + static_cast<std::int64_t>(k) * p;
    for (std::int64_t i = 0; i < p; ++i) {
      for (std::int64_t j = 0; j < p; ++j) sum[static_cast<std::size_t>(i * p + j)] += values[k] * (row[i] * row[j]);
    }
  }
  return Tensor::from(sum, {p, p}, Device::cpu());
}

std::vector<theory::FeatureDraw> draw(const theory::FeatureSimulation& simulation, int count,
                                      const RunOptions& options) {
  return simulate_draws(
      count, [&](std::int64_t i) { return simulation.draw(options.seed * 1'000'000 + static_cast<std::uint64_t>(i)); },
      [](double) {});
}

std::vector<double> spectrum_of(const Covariance& covariance) {
  return {covariance.eigenvalues().begin(), covariance.eigenvalues().end()};
}

Tensor around(const Tensor& a, const Tensor& b) {
  const Device cpu = Device::cpu();
  const std::int64_t p = a.extent(0);
  Tensor half({p, p}, DType::f64, cpu), whole({p, p}, DType::f64, cpu);
  kernels::gemm(cpu, kernels::Transpose::no, kernels::Transpose::no, 1, a, b, 0, half);
  kernels::gemm(cpu, kernels::Transpose::no, kernels::Transpose::no, 1, half, a, 0, whole);
  auto values = whole.to_vector<double>();
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t j = 0; j < i; ++j)
      values[i * p + j] = values[j * p + i] = (values[i * p + j] + values[j * p + i]) / 2;
  }
  return Tensor::from(values, {p, p}, cpu);
}

namespace {

std::vector<double> roots(std::vector<double> values) {
  for (double& value : values) value = std::sqrt(value);
  return values;
}

}  // namespace

Problem::Problem(std::int64_t dimension, double exponent, std::uint64_t seed)
    : p(dimension),
      sigma(combine(orthonormal_rows(p, p, seed), spectrum_of(Covariance::power_law(p, exponent)), p)),
      omega(combine(orthonormal_rows(p, p, seed + 1), power_tasks(p, 1.2), p)),
      root(combine(orthonormal_rows(p, p, seed), roots(spectrum_of(Covariance::power_law(p, exponent))), p)),
      tasks(Covariance::dense(around(root, omega))) {}

Covariance Problem::features(const solvers::FeatureMap& map) const {
  return Covariance::dense(around(root, map.metric()));
}

}  // namespace rtl::studies::optimal_features
