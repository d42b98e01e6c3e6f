// The best linear features for downstream regressions with few samples, from a known input covariance Sigma and a known
// task covariance Omega = E[w w'] (docs/theory.md). feature_optimum.hpp has the formulas by spectrum;
// task_ensemble.hpp learns Omega from upstream tasks.
//
// With T = Sigma^(1/2) Omega Sigma^(1/2) = U diag(t) U', every optimum is B = Sigma^(-1/2) U diag(sqrt(k)), k from the
// spectral rule. Only M = B B' matters; rotations of the features change nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/solvers/feature_map.hpp"
#include "rtl/solvers/feature_optimum.hpp"

namespace rtl::solvers {

enum class FeatureGoal : std::uint8_t {
  bayes,         ///< the downstream ridge penalty is tuned; the same B serves every number of samples
  minimum_norm,  ///< the downstream learner has no penalty: the better of soft and hard
  soft,          ///< all (or max_rank > n) directions, M proportional to Omega + nu Sigma^-1
  hard,          ///< the r < n strongest directions: compact, sparse
};

struct FeaturizationOptions {
  FeatureGoal goal = FeatureGoal::bayes;
  /// At most this many features; 0: as many as pay. Bayes features keep the strongest directions.
  std::int64_t max_rank = 0;
  /// Eigenvalues of Sigma below this share of their mean are raised to it: Sigma^(-1/2) never sees less. An estimated
  /// Sigma wants about 1e-3.
  double eigenvalue_floor = 1e-10;
};

struct Featurization {
  FeatureMap map;
  FeatureOptimum optimum;             ///< weights and spectrum in the order of `tasks`
  std::vector<double> tasks;          ///< eigenvalues t of T, falling
  std::vector<std::string> warnings;  ///< in words: few directions in Omega, n near an interpolation threshold, ...
};

/// sigma, omega [p, p], f64, symmetric; on any device (the arithmetic runs on the host, 30 p^3 FLOP). `samples` and
/// `noise` are those of the downstream tasks. The map's columns fall in strength. Directions of weight 0 have no
/// column; hard features that keep none still have one, the strongest, with a warning. Throws ShapeError, DTypeError;
/// ValueError for asymmetric or not finite matrices, negative eigenvalues beyond rounding, a zero Omega, negative
/// noise, no samples, and soft features with no more directions than samples.
Featurization optimal_featurization(ConstView sigma, ConstView omega, double noise, double samples,
                                    const FeaturizationOptions& options = {});

/// The first `rank` principal axes [p, rank] of sigma: principal component regression. It is the hard optimum where
/// Omega is a multiple of I, if `rank` is that optimum's. Throws ValueError unless 1 <= rank <= p.
FeatureMap principal_components(ConstView sigma, std::int64_t rank);

/// Sigma^(-1/2) [p, p]: ridge on whitened inputs. The soft optimum's filler part.
FeatureMap whitening(ConstView sigma, double eigenvalue_floor = 1e-10);

/// B and penalty of ordinary ridge regression: the identity. For comparisons.
FeatureMap identity_features(std::int64_t inputs, const Device& device = Device::cpu());

}  // namespace rtl::solvers
