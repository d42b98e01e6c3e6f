// What is predicted: one of several classes, or real numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/data/dataset.hpp"

namespace rtl::transfer {

struct Task {
  bool regression = false;
  std::int64_t outputs = 0;             ///< classes, or numbers of a real target
  std::vector<std::string> names = {};  ///< of classes or of the target's columns; may be empty
  /// Regression: networks are trained on (target - mean) / deviation of the training rows, column by column.
  std::vector<double> mean = {}, deviation = {};
  /// Classes: each is a question of its own (LossKind::bce), and its probability the sigmoid of its logit. Otherwise
  /// probabilities are the softmax of the logits.
  bool independent = false;

  /// Of a training set; mean and population deviation in double. Throws ValueError where it has neither labels nor
  /// targets, or a target has one value alone.
  static Task of(const data::Dataset& train);
  /// Throws ValueError, naming both, unless the data set's labels or targets are of this kind.
  void check(const data::Dataset& dataset, const char* call) const;
  friend bool operator==(const Task&, const Task&) = default;
};

/// The targets of a data set as networks are trained on them, [N, outputs].
std::vector<float> standardized_targets(const Task& task, const data::Dataset& dataset);
/// Outputs [N, outputs] of a model, from standardised to the target's own units; logits stay as they are.
Tensor in_units(const Task& task, Tensor outputs);

}  // namespace rtl::transfer
