// The parts of `rtl reproduce optimal-features`.
#pragma once

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

}  // namespace rtl::studies::optimal_features
