// Predictions of a data set: how good they are, and as a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rtl/data/dataset.hpp"
#include "rtl/transfer/task.hpp"

namespace rtl::cli {

/// The names of the outputs: those of the task, else those of the data where they are as many; else none.
std::vector<std::string> output_names(const transfer::Task& task, const data::Dataset& dataset);

/// What labels or real targets say of outputs. Absent members are not known.
struct Judgement {
  std::optional<std::int64_t> correct;
  std::optional<double> accuracy;
  std::optional<double> r2;  ///< also absent where a target has one value alone
  std::optional<double> rmse;
  std::string text;  ///< for people: these, or why there are none
};

/// Classes are matched by their names where model and data have some, so that the data may lack classes. Where one of
/// them has none, or numbers its classes from 0 while the other has words, they are matched by position, and the
/// numbers of classes have to be equal.
Judgement judge_outputs(const Tensor& outputs, const transfer::Task& task, const data::Dataset& dataset);

/// Of logits in double, row-major [N, classes]: their softmax, or where the task's classes are independent the sigmoid
/// of each.
std::vector<double> probabilities(const Tensor& logits, const transfer::Task& task);

/// .csv: "class,probability_NAME,.." or a column for each output of regression, a row a sample. .npy: probabilities or
/// values, f32 [N, outputs]. What has no name is called by its number, from 0. Written beside and renamed. Throws
/// IoError.
void write_predictions(const std::string& path, const Tensor& outputs, const transfer::Task& task,
                       const std::vector<std::string>& names);

}  // namespace rtl::cli
