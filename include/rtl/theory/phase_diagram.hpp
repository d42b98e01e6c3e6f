// Soft or hard selection of features: the first-order phase transition of the best featurization for a minimum-norm
// learner, for k equal task eigenvalues of total energy 1 among p directions, in the limit of many samples n.
//
// `effective_rank` is k / n, `dimensions` p / n, `noise` the noise variance (the energy of the tasks being 1). Risks
// are total test errors. For any other spectrum compare soft_optimum and hard_optimum of solvers/feature_optimum.hpp.
// Functions throw ValueError for values that are not positive or finite (noise may be 0), for dimensions <= 1 where
// soft features do not exist, and for an effective rank above the dimensions.
#pragma once

#include <optional>

#include "rtl/solvers/feature_optimum.hpp"

namespace rtl::theory {

using solvers::bayes_optimum;
using solvers::FeatureOptimum;
using solvers::FeaturePhase;
using solvers::hard_optimum;
using solvers::minimum_norm_optimum;
using solvers::soft_optimum;

/// R of a tuned ridge: the positive root of R^2 + (1/a - noise - 1) R - noise / a = 0, a the effective rank.
double equal_tasks_bayes_risk(double effective_rank, double noise);

/// R of the best soft features: the positive root of R^2 + (1/a - 1 - b nu) R - (b - a) nu / a = 0, b the dimensions,
/// nu = noise / (b - 1).
double equal_tasks_soft_risk(double effective_rank, double dimensions, double noise);

/// R of the best projection: all k directions or none, min(noise / (1 - a), 1 + noise).
double equal_tasks_hard_risk(double effective_rank, double noise);

/// The effective ranks for which soft selection has the lower risk.
struct SoftRange {
  double low = 0;   ///< alpha_c, where hard selection of all k directions gives way
  double high = 0;  ///< where keeping nothing wins; `dimensions` if nowhere
};
/// None if hard selection wins for every effective rank. Keeping nothing wins at the high end iff
/// noise > (b - 1) / b. Bisection to the last bit.
std::optional<SoftRange> soft_range(double dimensions, double noise);

}  // namespace rtl::theory
