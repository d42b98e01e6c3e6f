// Tasks, inputs and draws of the parts of `rtl reproduce optimal-features`.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/solvers/featurization.hpp"
#include "rtl/theory/covariance.hpp"
#include "rtl/theory/simulation.hpp"
#include "studies/study.hpp"

namespace rtl::studies::optimal_features {

/// Eigenvalues i^-exponent, scaled to a sum of 1.
std::vector<double> power_tasks(std::int64_t count, double exponent);
/// Orthonormal rows [count, p]: Gram-Schmidt of Gaussian ones.
std::vector<double> orthonormal_rows(std::int64_t count, std::int64_t p, std::uint64_t seed);
/// sum_k values[k] r_k r_k' of such rows: [p, p].
Tensor combine(const std::vector<double>& rows, const std::vector<double>& values, std::int64_t p);

/// Draws with numbers from 0, several at a time.
std::vector<theory::FeatureDraw> draw(const theory::FeatureSimulation& simulation, int count,
                                      const RunOptions& options);

std::vector<double> spectrum_of(const theory::Covariance& covariance);
/// a b a for symmetric a.
Tensor around(const Tensor& a, const Tensor& b);

/// Input and task covariances that do not commute, T of trace 1.
struct Problem {
  Problem(std::int64_t dimension, double exponent, std::uint64_t seed);
  /// K of a map.
  theory::Covariance features(const solvers::FeatureMap& map) const;

  std::int64_t p;
  Tensor sigma, omega, root;
  theory::Covariance tasks;
};

}  // namespace rtl::studies::optimal_features
