// Did a training learn anything?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/data/dataset.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::transfer::detail {

/// A model's evaluation on its training samples, batch by batch.
class LearningCheck {
 public:
  /// Classes, or numbers of a real target.
  explicit LearningCheck(std::int64_t outputs) : outputs_(static_cast<std::size_t>(outputs)) {}
  /// logits [m, outputs] row by row, and the labels of those samples ..
  void add(const std::vector<double>& logits, const std::int32_t* labels);
  /// .. or standardised predictions, and the targets [m, outputs].
  void add(const std::vector<double>& predictions, const float* targets);

  bool finite() const noexcept { return finite_; }
  /// Every sample so far was given the same class, the first of them, or the same numbers.
  bool constant() const noexcept { return finite_ && constant_; }
  std::size_t predicted() const noexcept { return predicted_; }
  double mean_loss() const { return loss_ / static_cast<double>(samples_); }

 private:
  std::size_t outputs_;
  std::int64_t samples_ = 0;
  std::size_t predicted_ = 0;
  std::vector<double> first_;
  bool constant_ = true;
  bool finite_ = true;
  double loss_ = 0;
};

/// Mean square of standardised targets: the loss of predicting their mean.
double mean_square(const std::vector<float>& targets);

/// Mean cross-entropy of giving each class its share of the labels: what can be had without looking at the inputs.
double loss_of_shares(const std::vector<std::int32_t>& labels, std::int64_t classes);

/// The parameter with the element of largest magnitude.
struct LargestWeight {
  std::string name;
  double magnitude = 0;
};
LargestWeight largest_weight(const layers::ModuleState& state);

/// Notes for TrainingRecord::warnings; empty where there is nothing to say.
std::string describe_constant_prediction(const data::Dataset& dataset, std::size_t predicted);
std::string describe_nothing_learned(double loss, double shares);
std::string describe_growth(const LargestWeight& start, const LargestWeight& end);
std::string describe_constant_columns(const data::InputNormalization& normalization);

}  // namespace rtl::transfer::detail
