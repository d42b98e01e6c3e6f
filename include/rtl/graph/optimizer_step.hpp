// Optimizer steps as operations of a recorded graph: all parameters in one launch (rtl/kernels/optimizer_step.hpp has
// the equations), changed in place.
#pragma once

#include <span>

#include "rtl/graph/graph.hpp"
#include "rtl/kernels/optimizer_step.hpp"

namespace rtl::graph {

/// A parameter and what its update needs, of one shape and dtype.
struct OptimizedParameter {
  Value weight;         ///< a variable
  Value gradient = {};  ///< not defined: the parameter is left alone
  Value first = {};  ///< a variable of zeros: SGD's momentum buffer (not defined without momentum), Adam's first moment
  Value second = {};   ///< a variable of zeros: Adam's second moment
  Value start = {};    ///< start point of the L2-SP penalty; not defined: no penalty for this one
  Value average = {};  ///< a variable, the weights at first: their exponential moving average
};

/// Records a step with the rates, and the step number, that `rates` and `counters` have when it runs; with an
/// `average_decay` above 0 it averages the weights too (kernels::OptimizerState), and every parameter has an average.
/// Throws ShapeError and DTypeError for what does not belong together; ValueError for moments that are missing or too
/// many, for Nesterov without momentum, for factors outside PyTorch's ranges, for averages that are missing or too
/// many, and without a parameter to change.
void record_sgd_step(const Value& counters, const Value& rates, std::span<const OptimizedParameter> parameters,
                     const kernels::SgdRule& rule = {}, double average_decay = 0);
void record_adam_step(const Value& counters, const Value& rates, std::span<const OptimizedParameter> parameters,
                      const kernels::AdamRule& rule = {}, double average_decay = 0);
/// `first` is a variable that starts at the weight (kernels::schedule_free_step); there is no average.
void record_schedule_free_step(const Value& counters, const Value& rates,
                               std::span<const OptimizedParameter> parameters,
                               const kernels::ScheduleFreeRule& rule = {});

}  // namespace rtl::graph
