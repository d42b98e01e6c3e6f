// Rows that a linear model was not fitted to: scores on those whose targets are known, predictions for the others.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/array_argument.hpp"
#include "cli/json_report.hpp"
#include "cli/outputs.hpp"

namespace rtl::cli {

/// --test-features, --test-targets, --predict and --predictions.
struct UnseenArguments {
  std::string test_features;
  std::string test_targets;
  std::string predict;
  std::string predictions;

  void add_to(CLI::App& command);
  /// Throws UsageError for one of a pair without the other, and for predictions that are neither .npy nor .csv.
  void check() const;
  FileArguments inputs() const;
  FileArgument output() const { return {"--predictions", predictions}; }
};

/// What a model was fitted to, which other rows must match.
struct FittedRows {
  std::string features_file, features_option, targets_file, targets_option;
  std::int64_t features = 0, outputs = 0;
  std::vector<std::string> classes;                          ///< of the outputs; none if targets are values
  std::size_t most_frequent = 0;                             ///< of the classes
  std::shared_ptr<const data::Preprocessing> preprocessing;  ///< of the features; null where there is none

  /// `weights` of the rows (none: all 1).
  FittedRows(const Array& features, const Array& targets, const std::vector<double>& weights = {});
};

/// Either those of values or those of classes.
struct TestScores {
  std::vector<double> rmse, r2;    ///< of each output; r2 is NaN where the targets do not vary
  double root_mean_square = 0;     ///< over rows and outputs
  double mean_r2 = 0;              ///< over outputs
  std::optional<double> accuracy;  ///< share of rows whose largest prediction is their class
  double most_frequent_class = 0;  ///< share of rows that are of the most frequent class of the fitted rows

  /// "R^2 0.93, RMSE 0.21" or "accuracy 91.0 %".
  std::string describe() const;
  Json to_json() const;
};

/// The rows of UnseenArguments. Throws what read_array and read_targets do; ShapeError for another number of features
/// or outputs; FormatError for a class that the fitted rows do not have.
class UnseenRows {
 public:
  UnseenRows(const UnseenArguments& arguments, FittedRows fitted);

  /// For tell_notes.
  std::vector<const Array*> arrays() const;
  const FittedRows& fitted() const { return fitted_; }
  bool has_test() const { return test_features_.has_value(); }

  /// Of the model X W + b, W [p, k], b [k], both f64 on the device.
  TestScores score(const Device& device, const Tensor& coefficients, const Tensor& intercept) const;
  /// Writes --predictions, if asked for: of .npy the values [rows, outputs], of .csv these and, if outputs are classes,
  /// the class of the largest before them.
  void write_predictions(const Device& device, const Tensor& coefficients, const Tensor& intercept) const;

  /// Adds "test" and "predictions", null where they were not asked for.
  void report(Json& json, const std::optional<TestScores>& scores) const;
  /// Lines for people.
  void print(const std::optional<TestScores>& scores) const;

 private:
  UnseenArguments arguments_;
  FittedRows fitted_;
  std::optional<Array> test_features_, test_targets_, features_;
};

}  // namespace rtl::cli
