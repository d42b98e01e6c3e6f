#include "transfer/step.hpp"

#include <fmt/format.h>

#include <utility>

#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"

namespace rtl::transfer::detail {

using graph::Value;

std::vector<optim::NamedStorage> trained_parameters(Trainable& model) {
  std::vector<optim::NamedStorage> parameters;
  for (const layers::NamedParameter& parameter : model.state().parameters) {
    if (parameter.parameter->trainable) parameters.push_back({parameter.name, parameter.parameter->storage});
  }
  return parameters;
}

TrainingStep::TrainingStep(Trainable& model, const TrainingData& data, const InputGather* inputs,
                           const optim::Optimizer& optimizer, std::int64_t batches, const Device& device,
                           DType activations)
    : model_(model),
      data_(data),
      inputs_(inputs),
      optimizer_(optimizer),
      device_(device),
      activations_(activations),
      arena_(std::make_shared<graph::Arena>(device)),
      state_(device),
      order_(Tensor({data.dataset->size()}, DType::i64, device)),
      labels_(Tensor({data.dataset->size()}, DType::i32, device)),
      losses_(Tensor::zeros({batches}, parameter_dtype(activations), device)) {}

void TrainingStep::set_order(std::span<const std::int64_t> order) {
  copy_bytes(Tensor::from(order, order_.shape(), device_.host()), order_.tensor());
}

void TrainingStep::set_labels(const std::vector<std::int32_t>& labels) {
  copy_bytes(Tensor::from(labels, labels_.shape(), device_.host()), labels_.tensor());
}

void TrainingStep::start_epoch(std::uint64_t seed, std::int64_t step) {
  state_.set_counters(seed, step, 0, 0);
  optimizer_.write_rates(state_);
}

std::vector<double> TrainingStep::losses() const {
  if (losses_.dtype() == DType::f64) return losses_.tensor().to_vector<double>();
  const std::vector<float> values = losses_.tensor().to_vector<float>();
  return {values.begin(), values.end()};
}

std::unique_ptr<graph::Execution> TrainingStep::record(std::int64_t count) {
  const auto graph = std::make_shared<graph::Graph>(device_);
  const graph::StepState::Values step = state_.values(*graph);
  const Value order = graph->variable("order", order_);
  std::vector<std::pair<Value, ConstView>> bound;
  Batch batch;
  if (inputs_ != nullptr) {
    bound.emplace_back(inputs_->table(*graph), inputs_->table());
    batch.inputs = inputs_->record(bound.back().first, order, step.counters, count, activations_);
  }
  for (std::size_t k = 0; k < data_.features.size(); ++k) {
    const ConstView& table = data_.features[k];
    bound.emplace_back(graph->input(fmt::format("frozen features {}", k + 1), table.shape(), table.dtype()), table);
    batch.features.push_back(graph::gather_batch(bound.back().first, order, step.counters, count, activations_));
  }
  const Value logits =
      graph::cast(model_.logits(batch, {.training = true, .counters = step.counters}), losses_.dtype());
  const Value loss = graph::cross_entropy_batch(logits, graph->variable("labels", labels_), order, step.counters);
  optimizer_.record(step, graph::gradients(loss, optimizer_.parameters(*graph)));
  graph::advance(step.counters, graph->variable("losses", losses_), loss, count);
  graph::run_passes(*graph, {});
  auto execution =
      std::make_unique<graph::Execution>(std::make_shared<const graph::Plan>(graph, std::vector<Value>()), arena_);
  for (const auto& [value, memory] : bound) execution->bind(value, memory);
  return execution;
}

graph::Execution& TrainingStep::execution(std::int64_t count) {
  std::unique_ptr<graph::Execution>& execution = executions_[count];
  if (!execution) execution = record(count);
  return *execution;
}

void TrainingStep::run(std::int64_t count) { execution(count).run(); }

}  // namespace rtl::transfer::detail
