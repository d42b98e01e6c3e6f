// Linear heads on frozen features by ridge regression.
#pragma once

#include <memory>
#include <vector>

#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/predictors.hpp"
#include "transfer/row_targets.hpp"

namespace rtl::transfer::detail {

/// outputs = base + temperature (x W + b - shift), W and b being the fit's; base and shift [outputs].
struct HeadScale {
  std::vector<double> base, shift;
  double temperature = 1;
};
std::unique_ptr<FusedHead> ridge_head(std::vector<FrozenBlock> blocks, const solvers::RidgeFit& fit,
                                      const HeadScale* scale = nullptr);

/// Such a head with values of its own.
std::unique_ptr<FusedHead> copy_of(const FusedHead& head);

/// Features [n, p_k] of the blocks beside each other: f32 [n, sum of p_k].
Tensor side_by_side(const std::vector<Tensor>& features);

/// A probe in closed form whose outputs can stand beside those of networks: ridge regression on `features` [n, sum of
/// p_k], which are the blocks', its penalty by exact leave-one-out; of classes, logits log prior + T (score - prior),
/// T being that of the smallest leave-one-out cross-entropy: a source of no use gives the prior.
struct CalibratedProbe {
  std::unique_ptr<FusedHead> head;
  double loss = 0;   ///< leave-one-out cross-entropy; of real targets, mean squared error
  double alpha = 0;  ///< sum of squares + alpha |W|^2 was minimised
  double temperature = 1;
};
CalibratedProbe calibrated_probe(std::vector<FrozenBlock> blocks, const Tensor& features, const RowTargets& targets);

/// Such a probe of other rows, `targets`, with a ridge regression and a temperature that are given.
std::unique_ptr<FusedHead> calibrated_head(std::vector<FrozenBlock> blocks, const solvers::RidgeFit& fit,
                                           const RowTargets& targets, double temperature);
/// The same with a penalty that is given: one factorisation by Cholesky instead of a path.
std::unique_ptr<FusedHead> probe_with(std::vector<FrozenBlock> blocks, const Tensor& features,
                                      const RowTargets& targets, double alpha, double temperature);

}  // namespace rtl::transfer::detail
