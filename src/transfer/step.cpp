#include "transfer/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "transfer/replica_rule.hpp"

namespace rtl::transfer::detail {
namespace {

using graph::Storage;
using graph::Value;

View of_replica(Tensor& all, std::size_t replica, const Shape& shape) {
  const auto r = static_cast<std::int64_t>(replica);
  return all.view().slice(0, r, r + 1).reshaped(shape);
}

/// Everything that a step may change, and parameters that it does not.
std::vector<Storage> storages_of(const StepReplica& replica) {
  std::vector<Storage> all;
  const layers::ModuleState state = replica.model->state();
  for (const auto& parameter : state.parameters) all.push_back(parameter.parameter->storage);
  for (const auto& buffer : state.buffers) all.push_back(buffer.parameter->storage);
  const std::vector<Storage> more = replica.optimizer->storages();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

std::vector<optim::NamedStorage> trained_parameters(Trainable& model) {
  std::vector<optim::NamedStorage> parameters;
  for (const layers::NamedParameter& parameter : model.state().parameters) {
    if (parameter.parameter->trainable) parameters.push_back({parameter.name, parameter.parameter->storage});
  }
  return parameters;
}

TrainingStep::TrainingStep(std::vector<StepReplica> replicas, std::int64_t batches, const Device& device,
                           DType activations)
    : replicas_(std::move(replicas)),
      device_(device),
      activations_(activations),
      arena_(std::make_shared<graph::Arena>(device)),
      state_(device) {
  const std::int64_t samples = replicas_.front().data->dataset->size();
  counters_ = leaf({state_.counters()});
  rates_ = leaf({state_.rates()});
  order_ = leaf({Storage(Tensor({samples}, DType::i64, device))});
  labels_ = leaf({Storage(Tensor({samples}, DType::i32, device))});
  losses_ = leaf({Storage(Tensor::zeros({batches}, parameter_dtype(activations), device))});
  find_tables();
  if (replicas_.size() == 1) return;
  std::vector<std::vector<Storage>> all;
  for (const StepReplica& replica : replicas_) all.push_back(storages_of(replica));
  for (std::size_t i = 0; i < all.front().size(); ++i) {
    std::vector<Storage> owners;
    owners.reserve(all.size());
    for (const std::vector<Storage>& storages : all) owners.push_back(storages.at(i));
    kept_.push_back(leaf(std::move(owners)));
  }
}

TrainingStep::Leaf TrainingStep::leaf(std::vector<Storage> owners) const {
  Leaf made{owners.front(), std::move(owners), {}};
  const auto count = static_cast<std::int64_t>(replicas_.size());
  if (count > 1) made.all = Tensor::zeros(graph::stacked(count, made.storage.shape()), made.storage.dtype(), device_);
  return made;
}

TrainingStep::Table TrainingStep::table(std::string name, const std::vector<ConstView>& each) const {
  Table made{std::move(name), each.front(), each.front(), {}};
  for (const ConstView& other : each) {
    if (other.shape() == made.one.shape() && other.dtype() == made.one.dtype()) continue;
    throw ValueError(fmt::format("train: replicas differ in {}: {} and {}", made.name, made.one.shape().to_string(),
                                 other.shape().to_string()));
  }
  const auto same = [&](const ConstView& other) { return other.data() == made.one.data(); };
  if (std::all_of(each.begin(), each.end(), same)) return made;
  made.all =
      Tensor(graph::stacked(static_cast<std::int64_t>(each.size()), made.one.shape()), made.one.dtype(), device_);
  for (std::size_t r = 0; r < each.size(); ++r) copy_bytes(each[r], of_replica(made.all, r, made.one.shape()));
  made.memory = made.all.view();
  return made;
}

void TrainingStep::find_tables() {
  const auto find = [&](std::string name, const auto& table_of) {
    std::vector<ConstView> each;
    for (const StepReplica& replica : replicas_) each.push_back(table_of(replica));
    tables_.push_back(table(std::move(name), each));
  };
  if (replicas_.front().inputs != nullptr) find("inputs", [](const StepReplica& r) { return r.inputs->table(); });
  for (std::size_t k = 0; k < replicas_.front().data->features.size(); ++k) {
    find(fmt::format("frozen features {}", k + 1), [k](const StepReplica& r) { return r.data->features.at(k); });
  }
}

void TrainingStep::load() {
  for (Leaf& leaf : kept_) {
    for (std::size_t r = 0; r < replicas_.size(); ++r) {
      copy_bytes(leaf.owners[r].tensor(), of_replica(leaf.all, r, leaf.storage.shape()));
    }
  }
}

void TrainingStep::store(std::size_t replica) {
  for (Leaf& leaf : kept_) {
    copy_bytes(of_replica(leaf.all, replica, leaf.storage.shape()), leaf.owners[replica].tensor());
  }
}

void TrainingStep::start_epoch(std::span<const EpochStart> starts) {
  std::vector<std::int64_t> counters;
  std::vector<double> rates;
  for (const EpochStart& start : starts) {
    const auto numbers = graph::StepState::counters_of(start.seed, start.step, 0, 0);
    counters.insert(counters.end(), numbers.begin(), numbers.end());
    const auto more =
        graph::StepState::rates_of(start.rates.learning_rate, start.rates.weight_decay, start.rates.l2sp_strength);
    rates.insert(rates.end(), more.begin(), more.end());
  }
  write(counters_, counters);
  write(rates_, rates);
}

std::vector<double> TrainingStep::losses() const {
  const Tensor& losses = losses_.memory();
  if (losses.dtype() == DType::f64) return losses.to_vector<double>();
  const std::vector<float> values = losses.to_vector<float>();
  return {values.begin(), values.end()};
}

/// Returns the tables, as inputs of the graph.
std::vector<Value> TrainingStep::record(graph::Graph& graph, std::int64_t count) const {
  const StepReplica& first = replicas_.front();
  const graph::StepState::Values step = state_.values(graph);
  const Value order = graph.variable("order", order_.storage);
  std::vector<Value> tables;
  Batch batch;
  for (const Table& table : tables_) {
    tables.push_back(graph.input(table.name, table.one.shape(), table.one.dtype()));
    if (tables.size() == 1 && first.inputs != nullptr) {
      batch.inputs = first.inputs->record(tables.back(), order, step.counters, count, activations_);
    } else {
      batch.features.push_back(graph::gather_batch(tables.back(), order, step.counters, count, activations_));
    }
  }
  const Value logits =
      graph::cast(first.model->logits(batch, {.training = true, .counters = step.counters}), losses_.storage.dtype());
  const Value loss =
      graph::cross_entropy_batch(logits, graph.variable("labels", labels_.storage), order, step.counters);
  first.optimizer->record(step, graph::gradients(loss, first.optimizer->parameters(graph)));
  graph::advance(step.counters, graph.variable("losses", losses_.storage), loss, count);
  graph::run_passes(graph, {});
  return tables;
}

std::unique_ptr<graph::Execution> TrainingStep::make_execution(std::int64_t count) {
  const auto graph = std::make_shared<graph::Graph>(device_);
  const std::vector<Value> tables = record(*graph, count);
  graph::PlanOptions options{.replicas = static_cast<std::int64_t>(replicas_.size()),
                             .replicas_in_turn = !device_.is_cuda()};
  std::vector<std::pair<Value, View>> leaves;
  const auto replicate = [&](Leaf& leaf, const Value& value) {
    if (leaf.all.defined() && graph->record(value).storage == leaf.storage) leaves.emplace_back(value, leaf.all.view());
  };
  for (std::size_t i = 0; i < graph->values().size(); ++i) {
    const Value value = graph->value(static_cast<std::int32_t>(i));
    for (Leaf* leaf : {&counters_, &rates_, &order_, &labels_, &losses_}) replicate(*leaf, value);
    for (Leaf& leaf : kept_) replicate(leaf, value);
  }
  for (const auto& [value, memory] : leaves) options.replicated.push_back(value);
  for (std::size_t k = 0; k < tables.size(); ++k) {
    if (tables_[k].all.defined()) options.replicated.push_back(tables[k]);
  }
  auto plan = std::make_shared<const graph::Plan>(graph, std::vector<Value>(), options);
  if (options.replicas_in_turn && replicas_.size() > 1 && waits_for_launches(plan->facts(), device_.kind())) {
    options.replicas_in_turn = false;
    plan = std::make_shared<const graph::Plan>(graph, std::vector<Value>(), options);
  }
  auto execution = std::make_unique<graph::Execution>(std::move(plan), arena_);
  for (const auto& [value, memory] : leaves) execution->bind(value, memory);
  for (std::size_t k = 0; k < tables.size(); ++k) execution->bind(tables[k], tables_[k].memory);
  return execution;
}

graph::Execution& TrainingStep::execution(std::int64_t count) {
  std::unique_ptr<graph::Execution>& execution = executions_[count];
  if (!execution) execution = make_execution(count);
  return *execution;
}

}  // namespace rtl::transfer::detail
