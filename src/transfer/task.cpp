#include "rtl/transfer/task.hpp"

#include <fmt/format.h>

#include "rtl/core/error.hpp"

namespace rtl::transfer {

Task Task::of(const data::Dataset& train) {
  return {.outputs = train.classes, .names = train.class_names};
}

void Task::check(const data::Dataset& dataset, const char* call) const {
  if (!dataset.has_labels()) throw ValueError(fmt::format("{}: {} has no labels", call, dataset.name));
  if (dataset.classes == outputs) return;
  throw ShapeError(fmt::format("{}: {} has {} classes, the model {}", call, dataset.name, dataset.classes, outputs));
}

std::vector<float> standardized_targets(const Task&, const data::Dataset&) { return {}; }

Tensor in_units(const Task& /*task*/, Tensor outputs) { return outputs; }

}  // namespace rtl::transfer
