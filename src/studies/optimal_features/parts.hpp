// The parts of `rtl reproduce optimal-features`.
#pragma once

#include "rtl/core/tensor.hpp"
#include "rtl/theory/covariance.hpp"
#include "rtl/theory/simulation.hpp"
#include "studies/study.hpp"

namespace rtl::studies::optimal_features {

/// The two peaks of the ground-truth featurization.
void divergence(Reproduction& result, const RunOptions& options);
/// Soft or hard: the table of critical effective ranks, and the optima along the number of samples.
void phases(Reproduction& result, const RunOptions& options);
/// Bias and variances of several featurizations, and the three optima, against draws.
void decomposition(Reproduction& result, const RunOptions& options);
/// Gradient descent and minimax against closed forms.
void descent(Reproduction& result, const RunOptions& options);
/// Features learnt from upstream tasks.
void learning(Reproduction& result, const RunOptions& options);

/// Eigenvalues i^-exponent, scaled to a sum of 1.
std::vector<double> power_tasks(std::int64_t count, double exponent);
/// Orthonormal rows [count, p]: Gram-Schmidt of Gaussian ones.
std::vector<double> orthonormal_rows(std::int64_t count, std::int64_t p, std::uint64_t seed);
/// sum_k values[k] r_k r_k' of such rows: [p, p].
Tensor combine(const std::vector<double>& rows, const std::vector<double>& values, std::int64_t p);

/// Draws with numbers from 0, several at a time.
std::vector<theory::FeatureDraw> draw(const theory::FeatureSimulation& simulation, int count,
                                      const RunOptions& options);

}  // namespace rtl::studies::optimal_features
