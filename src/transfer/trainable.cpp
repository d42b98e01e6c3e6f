#include "rtl/transfer/trainable.hpp"

#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/transfer/objectives.hpp"

namespace rtl::transfer {

BatchTargets::BatchTargets(const graph::Value& table, const graph::Value& order, const graph::Value& counters,
                           std::int64_t rows, std::int64_t outputs, const graph::Value& weights, double smoothing,
                           const Loss& loss)
    : table_(table),
      order_(order),
      counters_(counters),
      weights_(weights),
      rows_(rows),
      outputs_(outputs),
      smoothing_(smoothing),
      loss_(loss.of(table.rank() == 2)) {}

bool BatchTargets::real() const { return table_.rank() == 2; }

graph::Value BatchTargets::loss(const graph::Value& outputs) const {
  const graph::Value predicted = graph::cast(outputs, parameter_dtype(outputs.dtype()));
  const bool plain = !weights_.defined() && smoothing_ == 0 && !shares_.defined();
  if (plain && loss_.kind == LossKind::cross_entropy) {
    return graph::cross_entropy_batch(predicted, table_, order_, counters_);
  }
  const graph::Value wanted = graph::cast(real() ? values() : class_shares(), predicted.dtype());
  if (loss_.kind == LossKind::squared) {
    const graph::Value squares = graph::square(graph::subtract(predicted, wanted));
    if (!weights_.defined()) return graph::mean(squares);
    return graph::mean(
        graph::multiply(squares, graph::broadcast(graph::cast(weights_, squares.dtype()), squares.shape())));
  }
  const graph::Value each = loss_of_each(predicted, wanted);
  if (!weights_.defined()) return graph::reshape(graph::mean(each), {1});
  return graph::mean(graph::multiply(each, graph::cast(graph::reshape(weights_, {rows_}), each.dtype())));
}

graph::Value BatchTargets::loss_of_each(const graph::Value& outputs, const graph::Value& wanted) const {
  return objectives::loss_of_each(loss_, outputs, wanted);
}

void BatchTargets::mix(const graph::Value& order, const graph::Value& shares) {
  mixed_order_ = order;
  shares_ = shares;
}

/// shares own + (1 - shares) other, of values f32 [m, outputs].
graph::Value BatchTargets::mixed(const graph::Value& own, const graph::Value& other) const {
  return graph::add(other, graph::multiply(graph::broadcast(shares_, own.shape()), graph::subtract(own, other)));
}

graph::Value BatchTargets::one_hot(const graph::Value& order) const {
  graph::Graph& graph = table_.graph();
  std::vector<float> classes(static_cast<std::size_t>(outputs_));
  std::iota(classes.begin(), classes.end(), 0.0F);
  const graph::Value columns = graph.constant("classes", Tensor::from(classes, {1, outputs_}, graph.device()));
  const graph::Value labels = graph::gather_batch(table_, order, counters_, rows_, DType::f32);
  const Shape shape{rows_, outputs_};
  const graph::Value distance = graph::absolute(
      graph::subtract(graph::broadcast(graph::reshape(labels, {rows_, 1}), shape), graph::broadcast(columns, shape)));
  // Labels are whole numbers: the distance is 0 at the class, and at least 1 elsewhere.
  return graph::relu(graph::subtract(graph::fill(graph, 1.0, shape, DType::f32), distance));
}

graph::Value BatchTargets::class_shares() const {
  if (real()) throw ValueError("BatchTargets::class_shares: the targets are real, not classes");
  graph::Value shares = one_hot(order_);
  if (shares_.defined()) shares = mixed(shares, one_hot(mixed_order_));
  if (smoothing_ == 0) return shares;
  const double everywhere = smoothing_ / static_cast<double>(outputs_);
  return graph::add(graph::scale(shares, 1 - smoothing_),
                    graph::fill(shares.graph(), everywhere, shares.shape(), DType::f32));
}

graph::Value BatchTargets::values() const {
  if (!real()) throw ValueError("BatchTargets::values: the targets are classes; use class_shares");
  const graph::Value own = graph::gather_batch(table_, order_, counters_, rows_, DType::f32);
  if (!shares_.defined()) return own;
  return mixed(own, graph::gather_batch(table_, mixed_order_, counters_, rows_, DType::f32));
}

std::vector<optim::NamedStorage> trainable_parameters(const layers::ModuleState& state) {
  std::vector<optim::NamedStorage> parameters;
  for (const layers::NamedParameter& parameter : state.parameters) {
    if (parameter.parameter->trainable) parameters.push_back({parameter.name, parameter.parameter->storage});
  }
  return parameters;
}

std::vector<graph::Value> Trainable::objectives(const TrainingBatch& batch, const layers::ForwardContext& context) {
  return {batch.targets.loss(outputs(batch, context))};
}

std::vector<ParameterGroup> Trainable::groups() { return {{.parameters = trainable_parameters(state())}}; }

std::vector<double> Trainable::epoch_numbers(std::int64_t /*epoch*/, std::int64_t /*epochs*/) { return {}; }

}  // namespace rtl::transfer
