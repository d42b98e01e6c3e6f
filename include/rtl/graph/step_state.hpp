// What a recorded training step reads and changes from one run to the next: counters i64 [4] and rates f64 [5], whose
// positions rtl/kernels/step_state.hpp names. They are variables of the graph, so a step is recorded, planned and
// captured once, and its owner writes learning rates, or the begin of an epoch, into their memory between runs.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/graph/graph.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::graph {

/// Counters and rates on a device.
class StepState {
 public:
  /// All zero.
  explicit StepState(const Device& device);

  /// As values of a graph.
  struct Values {
    Value counters, rates;
  };
  Values values(Graph& graph) const;

  /// Copies a few numbers to the device, in the order of its work.
  void set_counters(std::uint64_t seed, std::int64_t step, std::int64_t begin, std::int64_t batch);
  void set_rates(double learning_rate, double weight_decay, double l2sp_strength, double warmup_steps = 0,
                 double weight_sum = 0);
  /// The same numbers as they lie in memory, for an owner who writes those of several replicas at once.
  static std::vector<std::int64_t> counters_of(std::uint64_t seed, std::int64_t step, std::int64_t begin,
                                               std::int64_t batch);
  static std::vector<double> rates_of(double learning_rate, double weight_decay, double l2sp_strength,
                                      double warmup_steps = 0, double weight_sum = 0);

  const Storage& counters() const noexcept { return counters_; }
  const Storage& rates() const noexcept { return rates_; }

 private:
  Storage counters_, rates_;
};

/// To be recorded last in a step, since it changes what the others read: losses[counters[batch]] = loss, then step and
/// batch grow by 1 and begin by `batch_size`. counters and losses [batches] (f32 or f64) are variables, changed in
/// place; loss has one element. The owner starts an epoch by setting begin and batch to 0, with at most `batches` runs
/// until it does so again. Throws ShapeError, DTypeError, ValueError.
void advance(const Value& counters, const Value& losses, const Value& loss, std::int64_t batch_size);

}  // namespace rtl::graph
