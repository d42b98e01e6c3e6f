// One training step, from the rows of a batch to the updated weights, recorded and planned once for each size of batch.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "rtl/optim/optimizer.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer::detail {

/// The model's trained parameters, as an optimizer takes them.
std::vector<optim::NamedStorage> trained_parameters(Trainable& model);

/// Gathers a batch, runs forward and backward, updates the weights, notes the loss and moves on to the next batch:
/// what an epoch visits, and at which rates, is memory of the device.
class TrainingStep {
 public:
  /// `inputs` is null if the model wants none. At most `batches` steps an epoch. `activations` is the dtype in which
  /// the model computes, parameters have the one that goes with it.
  TrainingStep(Trainable& model, const TrainingData& data, const InputGather* inputs, const optim::Optimizer& optimizer,
               std::int64_t batches, const Device& device, DType activations);

  /// The order of the samples, in all epochs to come.
  void set_order(std::span<const std::int64_t> order);
  /// Of all samples, in the data set's order.
  void set_labels(const std::vector<std::int32_t>& labels);
  /// Before the first step of an epoch: `step` steps were made before.
  void start_epoch(std::uint64_t seed, std::int64_t step);
  /// The next `count` samples of the order. Allocates nothing but for the first batch of a size; waits for nothing.
  void run(std::int64_t count);
  /// The plan of a step of `count` samples.
  const graph::Plan& plan(std::int64_t count) { return execution(count).plan(); }
  /// Mean loss of each step of the epoch; waits for the device.
  std::vector<double> losses() const;

 private:
  graph::Execution& execution(std::int64_t count);
  std::unique_ptr<graph::Execution> record(std::int64_t count);

  Trainable& model_;
  const TrainingData& data_;
  const InputGather* inputs_;
  const optim::Optimizer& optimizer_;
  Device device_;
  DType activations_;
  std::shared_ptr<graph::Arena> arena_;
  graph::StepState state_;
  graph::Storage order_, labels_, losses_;
  std::map<std::int64_t, std::unique_ptr<graph::Execution>> executions_;  ///< by samples
};

}  // namespace rtl::transfer::detail
