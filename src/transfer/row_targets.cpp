#include "transfer/row_targets.hpp"

#include "rtl/data/label_flips.hpp"

namespace rtl::transfer::detail {

RowTargets RowTargets::of(const data::Dataset& dataset) {
  RowTargets targets{Task::of(dataset), {}, {}, dataset.mean_one_weights()};
  if (targets.task.regression) {
    targets.targets = standardized_targets(targets.task, dataset);
  } else {
    targets.labels = dataset.labels.to_vector<std::int32_t>();
  }
  return targets;
}

RowTargets RowTargets::of(const FitContext& context) {
  RowTargets targets = of(context.train());
  const TrainingOptions& training = context.training();
  if (targets.task.regression) return targets;
  const data::LabelFlips flips{training.label_flips, training.flip_seed.value_or(training.seed),
                               training.flip_each_epoch};
  targets.labels = data::flipped_labels(targets.labels, targets.task.outputs, flips, 0);
  return targets;
}

std::int64_t RowTargets::rows() const {
  return task.regression ? static_cast<std::int64_t>(targets.size()) / task.outputs
                         : static_cast<std::int64_t>(labels.size());
}

RowTargets RowTargets::subset(std::span<const std::int64_t> rows) const {
  RowTargets part{task, {}, {}, {}};
  const auto outputs = static_cast<std::size_t>(task.outputs);
  for (const std::int64_t row : rows) {
    const auto i = static_cast<std::size_t>(row);
    if (!weights.empty()) part.weights.push_back(weights[i]);
    if (!task.regression) {
      part.labels.push_back(labels[i]);
      continue;
    }
    for (std::size_t c = 0; c < outputs; ++c) part.targets.push_back(targets[i * outputs + c]);
  }
  return part;
}

Tensor RowTargets::columns(const Device& device) const {
  const Shape shape{rows(), task.outputs};
  if (task.regression) return Tensor::from(targets, shape, device);
  const auto outputs = static_cast<std::size_t>(task.outputs);
  std::vector<float> columns(labels.size() * outputs);
  for (std::size_t i = 0; i < labels.size(); ++i) columns[i * outputs + static_cast<std::size_t>(labels[i])] = 1;
  return Tensor::from(columns, shape, device);
}

Tensor RowTargets::row_weights(const Device& device) const {
  return weights.empty() ? Tensor() : Tensor::from(weights, {rows()}, device);
}

}  // namespace rtl::transfer::detail
