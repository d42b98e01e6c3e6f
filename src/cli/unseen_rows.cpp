#include "cli/unseen_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "cli/array_classes.hpp"
#include "cli/commands.hpp"
#include "cli/table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"
#include "solvers/arguments.hpp"

namespace rtl::cli {

namespace {

std::vector<double> predicted(const Device& device, const Array& features, const Tensor& coefficients,
                              const Tensor& intercept) {
  const Tensor x = features.values.to(device);
  return solvers::arguments::predict("predict", device, x, coefficients, intercept).to_vector<double>();
}

/// Position of the largest of a row's values; of equals the first.
std::size_t largest(const std::vector<double>& values, std::size_t row, std::size_t width) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * width);
  return static_cast<std::size_t>(std::max_element(begin, begin + static_cast<std::ptrdiff_t>(width)) - begin);
}

void check_pair(const char* one, const std::string& first, const char* other, const std::string& second) {
  if (first.empty() == second.empty()) return;
  throw UsageError(first.empty() ? fmt::format("{} needs {}", other, one) : fmt::format("{} needs {}", one, other));
}

Array read_features(const std::string& option, const std::string& argument, const FittedRows& fitted) {
  Array array = read_array(option, argument, fitted.preprocessing.get());
  if (array.columns() == fitted.features) return array;
  throw ShapeError(fmt::format("{} has {} columns ({}), {} has {} ({}); the model needs the features it was fitted to",
                               array.file, array.columns(), option, fitted.features_file, fitted.features,
                               fitted.features_option));
}

Array read_test_targets(const std::string& argument, const FittedRows& fitted) {
  const std::string option = "--test-targets";
  Array array = read_targets(option, argument, fitted.classes, fitted.targets_file);
  if (array.columns() == fitted.outputs) return array;
  throw ShapeError(fmt::format("{} has {} columns ({}), {} has {} ({}); the model has one output for each of these",
                               array.file, array.columns(), option, fitted.targets_file, fitted.outputs,
                               fitted.targets_option));
}

std::string csv_of(const std::vector<double>& values, std::size_t width, const std::vector<std::string>& classes) {
  std::vector<std::string> header;
  if (!classes.empty()) header.emplace_back("class");
  for (std::size_t o = 0; o < width; ++o) {
    header.push_back(!classes.empty() ? csv_field(classes[o])
                     : width == 1     ? "prediction"
                                      : fmt::format("prediction_{}", o + 1));
  }
  std::string text = fmt::format("{}\n", fmt::join(header, ","));
  for (std::size_t row = 0; row * width < values.size(); ++row) {
    if (!classes.empty()) text += csv_field(classes[largest(values, row, width)]) + ",";
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * width);
    text += fmt::format("{}\n", fmt::join(begin, begin + static_cast<std::ptrdiff_t>(width), ","));
  }
  return text;
}

/// Of one output.
void score_values(TestScores& scores, const std::vector<double>& targets, const std::vector<double>& values,
                  std::size_t output, std::size_t width) {
  const std::size_t rows = targets.size() / width;
  double mean = 0, residual = 0, spread = 0;
  bool varies = false;
  for (std::size_t i = output; i < targets.size(); i += width) {
    mean += targets[i] / static_cast<double>(rows);
    varies = varies || targets[i] != targets[output];
  }
  for (std::size_t i = output; i < targets.size(); i += width) {
    residual += (targets[i] - values[i]) * (targets[i] - values[i]);
    spread += (targets[i] - mean) * (targets[i] - mean);
  }
  scores.rmse.push_back(std::sqrt(residual / static_cast<double>(rows)));
  scores.r2.push_back(varies ? 1 - residual / spread : std::numeric_limits<double>::quiet_NaN());
}

Json known(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

void UnseenArguments::add_to(CLI::App& command) {
  command.add_option("--test-features", test_features,
                     "rows that the model is not fitted to, to score it: R^2 and RMSE, or accuracy of classes");
  command.add_option("--test-targets", test_targets, "their targets; classes are named as those of the fit");
  command.add_option("--predict", predict, "rows without targets, for --predictions");
  command.add_option("--predictions", predictions, "the .npy or .csv to write: what the model predicts for --predict");
}

void UnseenArguments::check() const {
  check_pair("--test-features", test_features, "--test-targets", test_targets);
  check_pair("--predict", predict, "--predictions", predictions);
  check_npy_or_csv(output());
}

FileArguments UnseenArguments::inputs() const {
  return {{"--test-features", array_file("--test-features", test_features)},
          {"--test-targets", array_file("--test-targets", test_targets)},
          {"--predict", array_file("--predict", predict)}};
}

FittedRows::FittedRows(const Array& x, const Array& y, const std::vector<double>& weights)
    : features_file(x.file),
      features_option(x.option),
      targets_file(y.file),
      targets_option(y.option),
      features(x.columns()),
      outputs(y.columns()),
      classes(y.classes),
      preprocessing(x.preprocessing) {
  if (classes.empty()) return;
  const std::vector<double> targets = doubles_of(y.values);
  std::vector<double> counts(classes.size());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    counts[i % counts.size()] += targets[i] * (weights.empty() ? 1 : weights[i / counts.size()]);
  }
  most_frequent = largest(counts, 0, counts.size());
}

std::string TestScores::describe() const {
  if (accuracy) {
    return fmt::format("accuracy {:.1f} % (always the most frequent class of the fit: {:.1f} %)", 100 * *accuracy,
                       100 * most_frequent_class);
  }
  const std::string errors = fmt::format("RMSE {:.6g}", root_mean_square);
  if (std::isnan(mean_r2)) return errors + ", no R^2, since the targets do not vary";
  return fmt::format("R^2 {:.4f}, {}", mean_r2, errors);
}

Json TestScores::to_json() const {
  if (accuracy) return {{"accuracy", *accuracy}, {"most_frequent_class", most_frequent_class}};
  Json json = {{"r2", known(mean_r2)}, {"rmse", known(root_mean_square)}, {"per_output", Json::array()}};
  for (std::size_t o = 0; o < rmse.size(); ++o) {
    json["per_output"].push_back({{"r2", known(r2[o])}, {"rmse", known(rmse[o])}});
  }
  return json;
}

UnseenRows::UnseenRows(const UnseenArguments& arguments, FittedRows fitted)
    : arguments_(arguments), fitted_(std::move(fitted)) {
  if (!arguments.test_features.empty()) {
    test_features_ = read_features("--test-features", arguments.test_features, fitted_);
    test_targets_ = read_test_targets(arguments.test_targets, fitted_);
    align_rows({&*test_features_, &*test_targets_});
  }
  if (!arguments.predict.empty()) features_ = read_features("--predict", arguments.predict, fitted_);
}

std::vector<const Array*> UnseenRows::arrays() const {
  std::vector<const Array*> all;
  for (const std::optional<Array>* array : {&test_features_, &test_targets_, &features_}) {
    if (array->has_value()) all.push_back(&**array);
  }
  return all;
}

TestScores UnseenRows::score(const Device& device, const Tensor& coefficients, const Tensor& intercept) const {
  const std::vector<double> values = predicted(device, *test_features_, coefficients, intercept);
  const std::vector<double> targets = doubles_of(test_targets_->values);
  const auto width = static_cast<std::size_t>(fitted_.outputs);
  const std::size_t rows = targets.size() / width;
  TestScores scores;
  if (!fitted_.classes.empty()) {
    std::size_t right = 0, frequent = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t truth = largest(targets, row, width);
      right += largest(values, row, width) == truth ? 1 : 0;
      frequent += truth == fitted_.most_frequent ? 1 : 0;
    }
    scores.accuracy = static_cast<double>(right) / static_cast<double>(rows);
    scores.most_frequent_class = static_cast<double>(frequent) / static_cast<double>(rows);
    return scores;
  }
  for (std::size_t output = 0; output < width; ++output) score_values(scores, targets, values, output, width);
  const auto outputs = static_cast<double>(width);
  scores.mean_r2 = std::accumulate(scores.r2.begin(), scores.r2.end(), 0.0) / outputs;
  for (const double error : scores.rmse) scores.root_mean_square += error * error / outputs;
  scores.root_mean_square = std::sqrt(scores.root_mean_square);
  return scores;
}

void UnseenRows::write_predictions(const Device& device, const Tensor& coefficients, const Tensor& intercept) const {
  if (!features_) return;
  const std::vector<double> values = predicted(device, *features_, coefficients, intercept);
  if (arguments_.predictions.ends_with(".csv")) {
    io::write_file(arguments_.predictions, csv_of(values, static_cast<std::size_t>(fitted_.outputs), fitted_.classes));
  } else {
    io::write_npy(arguments_.predictions, Tensor::from(values, {features_->rows(), fitted_.outputs}, Device::cpu(1)));
  }
}

void UnseenRows::report(Json& json, const std::optional<TestScores>& scores) const {
  json["test"] = nullptr;
  if (scores) {
    json["test"] = {
        {"features", arguments_.test_features}, {"targets", arguments_.test_targets}, {"n", test_features_->rows()}};
    json["test"].update(scores->to_json());
  }
  json["predictions"] = nullptr;
  if (features_) {
    json["predictions"] = {
        {"features", arguments_.predict}, {"n", features_->rows()}, {"file", arguments_.predictions}};
  }
}

void UnseenRows::print(const std::optional<TestScores>& scores) const {
  const auto counted = [](const Array& rows) {
    return fmt::format("{} row{} of {}", grouped(rows.rows()), rows.rows() == 1 ? "" : "s", printable(rows.file));
  };
  if (scores) fmt::print("test on {}: {}\n", counted(*test_features_), scores->describe());
  if (features_) fmt::print("predictions for {} written: {}\n", counted(*features_), arguments_.predictions);
}

}  // namespace rtl::cli
