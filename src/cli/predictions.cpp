#include "cli/predictions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "cli/commands.hpp"
#include "cli/outputs.hpp"
#include "data/text_table.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/transfer/metrics.hpp"
#include "transfer/varying_targets.hpp"

namespace rtl::cli {

namespace {

using Names = std::vector<std::string>;

bool are_numbers(const Names& names) {
  return std::all_of(names.begin(), names.end(), [](const std::string& name) { return data::parse_number(name); });
}

/// Whether names are just the classes' positions.
bool are_positions(const Names& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != std::to_string(i)) return false;
  }
  return true;
}

/// Whether classes of these names can be told apart only by their positions. Other numbers are other classes.
bool match_by_position(const Names& model, const Names& dataset) {
  if (model.empty() || dataset.empty()) return true;
  return (are_positions(model) && !are_numbers(dataset)) || (are_positions(dataset) && !are_numbers(model));
}

/// For each class of the data the model's; empty where they do not fit.
std::vector<std::int32_t> matched_classes(const transfer::Task& task, const data::Dataset& dataset) {
  std::vector<std::int32_t> classes;
  if (match_by_position(task.names, dataset.class_names)) {
    for (std::int32_t i = 0; i < dataset.classes && dataset.classes == task.outputs; ++i) classes.push_back(i);
    return classes;
  }
  for (const std::string& name : dataset.class_names) {
    const auto found = std::find(task.names.begin(), task.names.end(), name);
    if (found == task.names.end()) return {};
    classes.push_back(static_cast<std::int32_t>(found - task.names.begin()));
  }
  return classes;
}

Judgement judge_classes(const Tensor& outputs, const transfer::Task& task, const data::Dataset& dataset) {
  Judgement judgement;
  if (!dataset.has_labels()) {
    judgement.text =
        fmt::format("no accuracy: the data has {}", dataset.is_regression() ? "real targets" : "no labels");
    return judgement;
  }
  const std::vector<std::int32_t> classes = matched_classes(task, dataset);
  if (classes.empty()) {
    judgement.text =
        match_by_position(task.names, dataset.class_names)
            ? fmt::format("no accuracy: the model has {} classes, the data {}", task.outputs, dataset.classes)
            : fmt::format("no accuracy: the model's classes are {}, the data's {}", fmt::join(task.names, ", "),
                          fmt::join(dataset.class_names, ", "));
    return judgement;
  }
  std::vector<std::int32_t> labels = dataset.labels.to_vector<std::int32_t>();
  for (std::int32_t& label : labels) label = classes[static_cast<std::size_t>(label)];
  const std::vector<float> logits = outputs.to_vector<float>();
  const transfer::Scores scores =
      transfer::score(std::vector<double>(logits.begin(), logits.end()), labels, task.outputs);
  judgement.accuracy = scores.accuracy;
  judgement.correct = std::count(scores.correct.begin(), scores.correct.end(), true);
  judgement.text =
      fmt::format("accuracy {:.2f} % ({} of {})", 100 * scores.accuracy, *judgement.correct, dataset.size());
  return judgement;
}

Judgement judge_values(const Tensor& outputs, const transfer::Task& task, const data::Dataset& dataset) {
  Judgement judgement;
  if (!dataset.is_regression()) {
    judgement.text = fmt::format("no R^2: the data has {}", dataset.has_labels() ? "classes" : "no targets");
    return judgement;
  }
  if (dataset.outputs() != task.outputs) {
    judgement.text =
        fmt::format("no R^2: the model predicts {} numbers, the data has {}", task.outputs, dataset.outputs());
    return judgement;
  }
  const std::vector<float> values = outputs.to_vector<float>(), wanted = dataset.targets.to_vector<float>();
  const std::vector<double> predictions(values.begin(), values.end()), targets(wanted.begin(), wanted.end());
  double squares = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    squares += (targets[i] - predictions[i]) * (targets[i] - predictions[i]);
  }
  judgement.rmse = std::sqrt(squares / static_cast<double>(targets.size()));
  judgement.text = fmt::format("RMSE {:.6g} in the target's units", *judgement.rmse);
  if (transfer::detail::all_vary(targets, static_cast<std::size_t>(task.outputs))) {
    judgement.r2 = transfer::score_regression(predictions, targets, task.outputs).r2;
    judgement.text = fmt::format("R^2 {:.4f}, {}", *judgement.r2, judgement.text);
  }
  return judgement;
}

std::string header(const Names& names, bool regression) {
  std::string line = regression ? "" : "class";
  for (const std::string& name : names) {
    line += (line.empty() ? "" : ",") + csv_field(regression ? name : "probability_" + name);
  }
  return line + "\n";
}

}  // namespace

Names output_names(const transfer::Task& task, const data::Dataset& dataset) {
  if (!task.names.empty()) return task.names;
  const Names& known = task.regression ? dataset.target_names : dataset.class_names;
  return known.size() == static_cast<std::size_t>(task.outputs) ? known : Names();
}

Judgement judge_outputs(const Tensor& outputs, const transfer::Task& task, const data::Dataset& dataset) {
  return task.regression ? judge_values(outputs, task, dataset) : judge_classes(outputs, task, dataset);
}

std::vector<double> probabilities(const Tensor& logits, const transfer::Task& task) {
  const std::vector<float> values = logits.to_vector<float>();
  std::vector<double> all(values.begin(), values.end());
  if (task.independent) {
    for (double& value : all) value = 1 / (1 + std::exp(-value));
    return all;
  }
  const auto width = static_cast<std::ptrdiff_t>(logits.extent(1));
  for (auto row = all.begin(); row != all.end(); row += width) {
    const double largest = *std::max_element(row, row + width);
    double sum = 0;
    for (auto value = row; value != row + width; ++value) sum += * value = std::exp(*value - largest);
    for (auto value = row; value != row + width; ++value) *value /= sum;
  }
  return all;
}

void write_predictions(const std::string& path, const Tensor& outputs, const transfer::Task& task,
                       const std::vector<std::string>& names) {
  const std::vector<float> values = outputs.to_vector<float>();
  const std::vector<double> shares = task.regression ? std::vector<double>() : probabilities(outputs, task);
  if (path.ends_with(".npy")) {
    const std::vector<float> numbers = task.regression ? values : std::vector<float>(shares.begin(), shares.end());
    io::write_npy(path, Tensor::from(numbers, outputs.shape(), Device::cpu(1).separate()));
    return;
  }
  const auto width = static_cast<std::size_t>(task.outputs);
  Names columns = names;
  for (std::size_t i = columns.size(); i < width; ++i) {
    columns.push_back(task.regression ? fmt::format("output_{}", i) : std::to_string(i));
  }
  io::AtomicFile file(path);
  std::string text = header(columns, task.regression);
  constexpr std::size_t block = 1 << 20;
  for (std::size_t row = 0; row < values.size(); row += width) {
    const float* own = values.data() + row;
    if (!task.regression) {
      text += csv_field(columns[static_cast<std::size_t>(std::max_element(own, own + width) - own)]);
    }
    for (std::size_t i = 0; i < width; ++i) {
      if (i > 0 || !task.regression) text += ',';
      if (task.regression) {
        fmt::format_to(std::back_inserter(text), "{}", own[i]);
      } else {
        fmt::format_to(std::back_inserter(text), "{}", shares[row + i]);
      }
    }
    text += '\n';
    if (text.size() < block) continue;
    file.write(text);
    text.clear();
  }
  file.write(text);
  file.commit();
}

}  // namespace rtl::cli
