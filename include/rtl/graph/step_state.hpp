// What changes from step to step of a training, in memory of the device that kernels read: so a step is recorded,
// planned and captured once, and replayed.
#pragma once

#include <cstdint>

#include "rtl/graph/graph.hpp"

namespace rtl::graph {

/// Counters i64 [4] and rates f64 [4] as rtl/kernels/step_state.hpp lays them out.
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
  void set_rates(double learning_rate, double weight_decay, double l2sp_strength);

  const Storage& counters() const noexcept { return counters_; }
  const Storage& rates() const noexcept { return rates_; }

 private:
  Storage counters_, rates_;
};

}  // namespace rtl::graph
