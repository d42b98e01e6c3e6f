// Did a training learn anything?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/data/dataset.hpp"
#include "rtl/layers/module.hpp"
#include "rtl/transfer/loss.hpp"

namespace rtl::transfer::detail {

/// A model's evaluation on its training samples, batch by batch.
class LearningCheck {
 public:
  /// Classes, or numbers of a real target; the loss is one for them.
  LearningCheck(std::int64_t outputs, const Loss& loss) : outputs_(static_cast<std::size_t>(outputs)), loss_of_(loss) {}
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
  double loss_of_row(const double* logits, std::size_t label) const;

  std::size_t outputs_;
  Loss loss_of_;
  std::int64_t samples_ = 0;
  std::size_t predicted_ = 0;
  std::vector<double> first_;
  bool constant_ = true;
  bool finite_ = true;
  double loss_ = 0;
};

/// Mean loss of predicting the mean of standardised targets, squared or huber: what can be had without the inputs ..
double loss_of_mean(const std::vector<float>& targets, const Loss& loss);
/// .. and that of giving each class its share of the labels, cross_entropy or bce.
double loss_of_shares(const std::vector<std::int32_t>& labels, std::int64_t classes, const Loss& loss);

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
