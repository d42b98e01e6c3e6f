#include "transfer/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/upload.hpp"
#include "rtl/graph/fetch.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "rtl/kernels/step_state.hpp"
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
  const std::vector<Storage> more = replica.optimizers->storages();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// What frozen features are gathered from, as many as they have parts.
std::vector<GatherTable> tables_of(const kernels::StoredFeatures& features, std::size_t source) {
  const std::string name = fmt::format("frozen features {}", source + 1);
  std::vector<GatherTable> tables{{name, features.table}};
  if (features.places.given()) tables.push_back({name + ": rows", features.places});
  if (features.transform.given()) tables.push_back({name + ": scaling", features.transform});
  return tables;
}

/// share own + (1 - share) other, sample by sample; shares f32 [m, 1].
Value mixed(const Value& own, const Value& other, const Value& shares) {
  std::vector<std::int64_t> extents(static_cast<std::size_t>(own.rank()), 1);
  extents.front() = own.extent(0);
  const Shape each{std::span<const std::int64_t>(extents)};
  const Value share = graph::broadcast(graph::reshape(graph::cast(shares, own.dtype()), each), own.shape());
  return graph::add(other, graph::multiply(share, graph::subtract(own, other)));
}

/// Scales all gradients by min(1, clip_norm / their common norm).
void clip(double clip_norm, std::vector<std::vector<Value>>& gradients) {
  Value squares;
  for (const auto& group : gradients) {
    for (const Value& gradient : group) {
      if (!gradient.defined()) continue;
      const Value own = graph::reshape(graph::sum(graph::square(gradient)), {1});
      squares = squares.defined() ? graph::add(squares, own) : own;
    }
  }
  if (!squares.defined()) return;
  const auto number = [&](double value) { return graph::fill(squares.graph(), value, {1}, squares.dtype()); };
  const Value factor = graph::minimum(number(1), graph::divide(number(clip_norm), graph::sqrt(squares)));
  for (auto& group : gradients) {
    for (Value& gradient : group) {
      if (gradient.defined()) gradient = graph::multiply(gradient, factor);
    }
  }
}

}  // namespace

TrainingStep::TrainingStep(std::vector<StepReplica> replicas, std::int64_t batches, std::int64_t largest,
                           const Device& device, DType activations)
    : replicas_(std::move(replicas)),
      device_(device),
      activations_(activations),
      arena_(std::make_shared<graph::Arena>(device)),
      state_(device) {
  const StepReplica& first = replicas_.front();
  const std::int64_t samples = first.data->dataset->size();
  counters_ = leaf({state_.counters()});
  order_ = leaf({Storage(Tensor({samples}, DType::i64, device))});
  targets_ = targets_leaf(*first.data->dataset);
  losses_ = leaf({Storage(Tensor::zeros({batches}, parameter_dtype(activations), device))});
  for (std::size_t group = 0; group < first.optimizers->size(); ++group) {
    rates_.push_back(leaf({Storage(Tensor::zeros({kernels::Rates::count}, DType::f64, device))}));
  }
  if (first.numbers > 0) {
    numbers_ = leaf({Storage(Tensor::zeros({static_cast<std::int64_t>(first.numbers)}, DType::f32, device))});
  }
  if (first.mixed) {
    partners_ = leaf({Storage(Tensor({samples}, DType::i64, device))});
    shares_ = leaf({Storage(Tensor({samples, 1}, DType::f32, device))});
  }
  if (first.data->source != nullptr) {
    const data::Dataset& source = *first.data->source->dataset;
    source_order_ = leaf({Storage(Tensor({samples}, DType::i64, device))});
    if (source.has_labels()) source_labels_ = targets_leaf(source);
  }
  find_tables();
  find_ahead(largest);
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

TrainingStep::Leaf TrainingStep::targets_leaf(const data::Dataset& dataset) const {
  const bool real = dataset.is_regression();
  const Shape shape = real ? Shape{dataset.size(), dataset.outputs()} : Shape{dataset.size()};
  return leaf({Storage(Tensor(shape, real ? DType::f32 : DType::i32, device_))});
}

/// Those that the steps read and their owner writes.
std::vector<TrainingStep::Leaf*> TrainingStep::leaves() {
  std::vector<Leaf*> all{&counters_, &order_, &targets_, &losses_};
  for (Leaf* leaf : {&source_order_, &source_labels_, &numbers_, &partners_, &shares_}) {
    if (leaf->storage.defined()) all.push_back(leaf);
  }
  for (Leaf& leaf : rates_) all.push_back(&leaf);
  for (Ahead& ahead : ahead_) all.push_back(&ahead.rows);
  return all;
}

/// Ragged tables get the length of the longest.
TrainingStep::Table TrainingStep::table(bool source, const std::vector<GatherTable>& each) const {
  const GatherTable& first = each.front();
  Table made{source ? "source " + first.name : first.name, source, first.memory, first.memory, {}};
  Shape shape = first.memory.shape();
  bool same = true;
  for (const GatherTable& other : each) {
    const Shape& own = other.memory.shape();
    same = same && other.memory.data() == first.memory.data();
    if (first.ragged && own[0] > shape[0]) shape = own;
    if ((own == shape || first.ragged) && other.memory.dtype() == first.memory.dtype()) continue;
    throw ValueError(
        fmt::format("train: replicas differ in {}: {} and {}", made.name, shape.to_string(), own.to_string()));
  }
  if (same) return made;
  made.all =
      Tensor::zeros(graph::stacked(static_cast<std::int64_t>(each.size()), shape), first.memory.dtype(), device_);
  for (std::size_t r = 0; r < each.size(); ++r) {
    copy_bytes(each[r].memory, of_replica(made.all, r, shape).slice(0, 0, each[r].memory.extent(0)));
  }
  made.one = of_replica(made.all, 0, shape);
  made.memory = made.all.view();
  return made;
}

void TrainingStep::find_tables() {
  const auto find_all = [&](bool source, const auto& tables_of) {
    std::vector<std::vector<GatherTable>> all;
    for (const StepReplica& replica : replicas_) all.push_back(tables_of(replica));
    for (std::size_t k = 0; k < all.front().size(); ++k) {
      std::vector<GatherTable> each;
      each.reserve(all.size());
      for (const std::vector<GatherTable>& own : all) each.push_back(own.at(k));
      tables_.push_back(table(source, each));
    }
  };
  const StepReplica& first = replicas_.front();
  if (first.inputs != nullptr) find_all(false, [](const StepReplica& r) { return r.inputs->tables(); });
  for (std::size_t k = 0; k < first.data->features.size(); ++k) {
    features_.push_back({&first.data->features[k], tables_.size(), false});
    find_all(false, [k](const StepReplica& r) { return tables_of(r.data->features.at(k), k); });
  }
  if (first.source_inputs != nullptr) {
    find_all(true, [](const StepReplica& r) { return r.source_inputs->tables(); });
  }
  for (std::size_t k = 0; first.data->source != nullptr && k < first.data->source->features.size(); ++k) {
    features_.push_back({&first.data->source->features[k], tables_.size(), true});
    find_all(true, [k](const StepReplica& r) { return tables_of(r.data->source->features.at(k), k); });
  }
  weighted_ = first.weights.data() != nullptr;
  if (weighted_) {
    find_all(false, [](const StepReplica& r) { return std::vector<GatherTable>{{"sample weights", r.weights}}; });
  }
}

/// Of each table that would be waited for, in each order that it is read in.
void TrainingStep::find_ahead(std::int64_t largest) {
  for (std::size_t k = 0; k < features_.size(); ++k) {
    const ConstView& table = tables_[features_[k].table].memory;
    if (!rtl::detail::lies_on_host(device_, table.data())) continue;
    const auto add = [&](const Leaf& order) {
      const Shape rows{largest, features_[k].stored->columns()};
      ahead_.push_back({k, order.storage, leaf({Storage(Tensor(rows, activations_, device_))})});
    };
    add(features_[k].source ? source_order_ : order_);
    if (!features_[k].source && partners_.storage.defined()) add(partners_);
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
  std::vector<std::vector<double>> rates(rates_.size());
  std::vector<float> numbers;
  for (const EpochStart& start : starts) {
    const auto counts = graph::StepState::counters_of(start.seed, start.step, 0, 0);
    counters.insert(counters.end(), counts.begin(), counts.end());
    for (std::size_t group = 0; group < rates_.size(); ++group) {
      const optim::Rates& own = start.rates.at(group);
      const auto more = graph::StepState::rates_of(own.learning_rate, own.weight_decay, own.l2sp_strength,
                                                   own.warmup_steps, own.weight_sum);
      rates[group].insert(rates[group].end(), more.begin(), more.end());
    }
    for (const double number : start.numbers) numbers.push_back(static_cast<float>(number));
  }
  write(counters_, counters);
  for (std::size_t group = 0; group < rates_.size(); ++group) write(rates_[group], rates[group]);
  if (!numbers.empty()) write(numbers_, numbers);
  if (ahead_.empty()) return;
  if (!first_fetch_) {
    const auto graph = std::make_shared<graph::Graph>(device_);
    first_fetch_ = make_execution(graph, record_first_fetch(*graph));
  }
  first_fetch_->run();
}

std::vector<double> TrainingStep::losses() const {
  const Tensor& losses = losses_.memory();
  if (losses.dtype() == DType::f64) return losses.to_vector<double>();
  const std::vector<float> values = losses.to_vector<float>();
  return {values.begin(), values.end()};
}

graph::FeatureTable TrainingStep::feature_table(const Features& features, const std::vector<Value>& tables) const {
  std::size_t next = features.table;
  graph::FeatureTable table{.table = tables[next++]};
  if (features.stored->places.given()) table.places = tables[next++];
  if (features.stored->transform.given()) table.transform = tables[next++];
  table.bound = features.stored->bound;
  return table;
}

Value TrainingStep::gather_features(std::size_t features, const std::vector<Value>& tables, const Value& order,
                                    const Value& counters, std::int64_t count) const {
  const graph::FeatureTable table = feature_table(features_[features], tables);
  const graph::Storage& read = order.graph().record(order).storage;
  const auto ahead =
      std::ranges::find_if(ahead_, [&](const Ahead& a) { return a.features == features && a.order == read; });
  if (ahead == ahead_.end()) return graph::gather_batch_features(table, order, counters, count, activations_);
  const Value rows = order.graph().variable("rows ahead", ahead->rows.storage);
  return graph::fetched_batch_features(rows, table, order, counters, count);
}

/// The tables of one data set, at the next rows of an order.
Batch TrainingStep::gather_inputs(const std::vector<Value>& tables, bool source, const Value& order,
                                  const Value& counters, std::int64_t count, const std::string& augmentation) const {
  Batch batch;
  const StepReplica& first = replicas_.front();
  const InputGather* inputs = source ? first.source_inputs : first.inputs;
  const auto first_table = static_cast<std::size_t>(
      std::ranges::find_if(tables_, [&](const Table& table) { return table.source == source; }) - tables_.begin());
  if (inputs != nullptr) {
    const std::size_t parts = inputs->tables().size();
    batch.inputs = inputs->record_augmented(std::span(tables).subspan(first_table, parts), order, counters, count,
                                            activations_, first.augmentation, augmentation);
  }
  for (std::size_t k = 0; k < features_.size(); ++k) {
    if (features_[k].source == source) batch.features.push_back(gather_features(k, tables, order, counters, count));
  }
  return batch;
}

LabelledBatch TrainingStep::gather(const std::vector<Value>& tables, bool source, const Value& order,
                                   const Value& counters, std::int64_t count) const {
  LabelledBatch batch{gather_inputs(tables, source, order, counters, count, source ? "source images" : "images"), {}};
  graph::Graph& graph = order.graph();
  const auto weights_at = [&](const Value& rows) {
    return graph::gather_batch(tables.back(), rows, counters, count, DType::f32);
  };
  Value weights = weighted_ && !source ? weights_at(order) : Value();
  Value partners, shares;
  if (!source && partners_.storage.defined()) {
    partners = graph.variable("partners", partners_.storage);
    const Value all = graph.variable("shares", shares_.storage);
    const Value positions = graph.constant("positions", counting_rows(all.extent(0), device_));
    shares = graph::gather_batch(all, positions, counters, count, DType::f32);
    const Batch other = gather_inputs(tables, source, partners, counters, count, "mixed images");
    if (batch.inputs.defined()) batch.inputs = mixed(batch.inputs, other.inputs, shares);
    for (std::size_t k = 0; k < other.features.size(); ++k) {
      batch.features[k] = mixed(batch.features[k], other.features[k], shares);
    }
    if (weights.defined()) weights = mixed(weights, weights_at(partners), shares);
  }
  const Leaf& targets = source ? source_labels_ : targets_;
  if (targets.storage.defined()) {
    const TrainingData& data = source ? *replicas_.front().data->source : *replicas_.front().data;
    batch.targets = {graph.variable(source ? "source labels" : "labels", targets.storage),
                     order,
                     counters,
                     count,
                     data.dataset->outputs(),
                     weights,
                     replicas_.front().label_smoothing,
                     replicas_.front().loss};
    if (shares.defined()) batch.targets.mix(partners, shares);
  }
  return batch;
}

/// All gradients before the first parameter changes.
void TrainingStep::record_updates(const Value& counters, std::span<const Value> objectives) const {
  const OptimizerSet& optimizers = *replicas_.front().optimizers;
  graph::Graph& graph = counters.graph();
  std::vector<std::vector<Value>> gradients;
  for (std::size_t group = 0; group < optimizers.size(); ++group) {
    const std::size_t objective = optimizers.objective(group);
    if (objective >= objectives.size()) {
      throw ValueError(fmt::format("train: a parameter group minimises objective {}, but the model has {}",
                                   objective + 1, objectives.size()));
    }
    gradients.push_back(graph::gradients(objectives[objective], optimizers.optimizer(group).parameters(graph)));
  }
  if (const double clip_norm = replicas_.front().clip_norm; clip_norm > 0) clip(clip_norm, gradients);
  for (std::size_t group = 0; group < optimizers.size(); ++group) {
    const graph::StepState::Values step{counters, graph.variable("rates", rates_[group].storage)};
    optimizers.optimizer(group).record(step, gradients[group]);
  }
}

/// As inputs of the graph.
std::vector<Value> TrainingStep::record_tables(graph::Graph& graph) const {
  std::vector<Value> tables;
  for (const Table& table : tables_) tables.push_back(graph.input(table.name, table.one.shape(), table.one.dtype()));
  return tables;
}

/// Returns the tables.
std::vector<Value> TrainingStep::record_first_fetch(graph::Graph& graph) const {
  const Value counters = graph.variable("counters", counters_.storage);
  std::vector<Value> tables = record_tables(graph);
  for (const Ahead& ahead : ahead_) {
    graph::fetch_batch_features(graph.variable("rows ahead", ahead.rows.storage),
                                feature_table(features_[ahead.features], tables), graph.variable("order", ahead.order),
                                counters, 0);
  }
  return tables;
}

/// Returns the tables.
std::vector<Value> TrainingStep::record(graph::Graph& graph, std::int64_t count) const {
  const StepReplica& first = replicas_.front();
  const Value counters = graph.variable("counters", counters_.storage);
  const Value order = graph.variable("order", order_.storage);
  const std::vector<Value> tables = record_tables(graph);
  TrainingBatch batch{gather(tables, false, order, counters, count), {}, {}};
  if (source_order_.storage.defined()) {
    batch.source = gather(tables, true, graph.variable("source order", source_order_.storage), counters, count);
  }
  if (numbers_.storage.defined()) batch.numbers = graph.variable("numbers of the epoch", numbers_.storage);
  const Precision precision = activations_ == DType::bf16 ? Precision::bf16 : Precision::f32;
  const std::vector<Value> objectives =
      first.model->objectives(batch, {.training = true, .counters = counters, .activations = precision});
  if (objectives.empty()) throw ValueError("train: the model has no objective");
  record_updates(counters, objectives);
  graph::advance(counters, graph.variable("losses", losses_.storage),
                 graph::cast(objectives.front(), losses_.storage.dtype()), count);
  graph::run_passes(graph, {});
  return tables;
}

std::unique_ptr<graph::Execution> TrainingStep::make_execution(const std::shared_ptr<graph::Graph>& graph,
                                                               const std::vector<Value>& tables) {
  graph::PlanOptions options{.replicas = static_cast<std::int64_t>(replicas_.size()),
                             .replicas_in_turn = !device_.is_cuda()};
  std::vector<std::pair<Value, View>> bound;
  const auto replicate = [&](Leaf& leaf, const Value& value) {
    if (leaf.all.defined() && graph->record(value).storage == leaf.storage) bound.emplace_back(value, leaf.all.view());
  };
  for (std::size_t i = 0; i < graph->values().size(); ++i) {
    const Value value = graph->value(static_cast<std::int32_t>(i));
    for (Leaf* leaf : leaves()) replicate(*leaf, value);
    for (Leaf& leaf : kept_) replicate(leaf, value);
  }
  for (const auto& [value, memory] : bound) options.replicated.push_back(value);
  for (std::size_t k = 0; k < tables.size(); ++k) {
    if (tables_[k].all.defined()) options.replicated.push_back(tables[k]);
  }
  auto plan = std::make_shared<const graph::Plan>(graph, std::vector<Value>(), options);
  if (options.replicas_in_turn && replicas_.size() > 1 && waits_for_launches(plan->facts(), device_.kind())) {
    options.replicas_in_turn = false;
    plan = std::make_shared<const graph::Plan>(graph, std::vector<Value>(), options);
  }
  auto execution = std::make_unique<graph::Execution>(std::move(plan), arena_);
  for (const auto& [value, memory] : bound) execution->bind(value, memory);
  for (std::size_t k = 0; k < tables.size(); ++k) execution->bind(tables[k], tables_[k].memory);
  execution->capture();
  return execution;
}

graph::Execution& TrainingStep::execution(std::int64_t count) {
  std::unique_ptr<graph::Execution>& execution = executions_[count];
  if (!execution) {
    const auto graph = std::make_shared<graph::Graph>(device_);
    execution = make_execution(graph, record(*graph, count));
  }
  return *execution;
}

}  // namespace rtl::transfer::detail
