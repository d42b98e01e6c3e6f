#include "rtl/transfer/task.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "io/json.hpp"
#include "rtl/core/error.hpp"
#include "rtl/transfer/loss.hpp"
#include "transfer/task_text.hpp"
#include "transfer/varying_targets.hpp"

namespace rtl::transfer {

Task Task::of(const data::Dataset& train) {
  if (!train.is_regression()) {
    if (!train.has_labels()) {
      throw ValueError(fmt::format("{} has neither labels nor targets to learn from", train.name));
    }
    return {.outputs = train.classes, .names = train.class_names};
  }
  Task task{.regression = true, .outputs = train.outputs(), .names = train.target_names};
  const std::vector<float> values = train.targets.to_vector<float>();
  const auto width = static_cast<std::size_t>(task.outputs);
  const auto rows = static_cast<double>(values.size() / width);
  if (!detail::all_vary(values, width)) throw ValueError(fmt::format("{}: a target has one value alone", train.name));
  task.mean.assign(width, 0);
  task.deviation.assign(width, 0);
  for (std::size_t i = 0; i < values.size(); ++i) task.mean[i % width] += static_cast<double>(values[i]) / rows;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = static_cast<double>(values[i]) - task.mean[i % width];
    task.deviation[i % width] += difference * difference / rows;
  }
  for (double& deviation : task.deviation) deviation = std::sqrt(deviation);
  return task;
}

void Task::check(const data::Dataset& dataset, const char* call) const {
  if (regression) {
    if (!dataset.is_regression()) throw ValueError(fmt::format("{}: {} has no real targets", call, dataset.name));
    if (dataset.outputs() == outputs) return;
    throw ShapeError(
        fmt::format("{}: {} has {} targets, the model {}", call, dataset.name, dataset.outputs(), outputs));
  }
  if (!dataset.has_labels()) throw ValueError(fmt::format("{}: {} has no labels", call, dataset.name));
  if (dataset.classes == outputs) return;
  throw ShapeError(fmt::format("{}: {} has {} classes, the model {}", call, dataset.name, dataset.classes, outputs));
}

std::vector<float> standardized_targets(const Task& task, const data::Dataset& dataset) {
  std::vector<float> values = dataset.targets.to_vector<float>();
  const std::size_t width = task.mean.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double centred = static_cast<double>(values[i]) - task.mean[i % width];
    values[i] = static_cast<float>(centred / task.deviation[i % width]);
  }
  return values;
}

Tensor in_units(const Task& task, Tensor outputs) {
  if (!task.regression) return outputs;
  std::vector<float> values = outputs.to_vector<float>();
  const std::size_t width = task.mean.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(task.mean[i % width] + task.deviation[i % width] * static_cast<double>(values[i]));
  }
  return Tensor::from(values, outputs.shape(), outputs.device());
}

namespace detail {

std::string encode_task(const Task& task) {
  io::Json names = io::Json::array();
  for (const std::string& name : task.names) names.push_back(io::valid_utf8(name));
  io::Json json{{"kind", task.regression ? "regression" : "classes"}, {"outputs", task.outputs}, {"names", names}};
  if (task.independent) json["loss"] = to_string(LossKind::bce);
  if (task.regression) {
    json["mean"] = task.mean;
    json["deviation"] = task.deviation;
  }
  return json.dump();
}

Task decode_task(const std::string& path, const std::string& text, std::int64_t outputs) {
  const io::Json json = io::parse_json(path, text, "the task");
  Task task = io::decode_json(path, [&] {
    Task read{.regression = json.at("kind") == "regression"};
    json.at("outputs").get_to(read.outputs);
    json.at("names").get_to(read.names);
    read.independent = json.value("loss", std::string()) == to_string(LossKind::bce);
    if (read.regression) json.at("mean").get_to(read.mean);
    if (read.regression) json.at("deviation").get_to(read.deviation);
    return read;
  });
  const std::size_t scales = task.regression ? static_cast<std::size_t>(outputs) : 0;
  const bool usable =
      std::all_of(task.mean.begin(), task.mean.end(), [](double value) { return std::isfinite(value); }) &&
      std::all_of(task.deviation.begin(), task.deviation.end(),
                  [](double value) { return std::isfinite(value) && value > 0; });
  const bool named = task.names.empty() || task.names.size() == static_cast<std::size_t>(outputs);
  if (task.outputs != outputs || !named || task.mean.size() != scales || task.deviation.size() != scales || !usable ||
      (task.regression && task.independent)) {
    throw FormatError(path, fmt::format("its task is not that of a model with {} outputs", outputs));
  }
  return task;
}

}  // namespace detail
}  // namespace rtl::transfer
