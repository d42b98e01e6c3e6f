#include "transfer/learning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rtl::transfer::detail {
namespace {

const char* const remedy = "try another learning rate, more epochs or inputs of even scales";
/// Weights of trained networks stay within tens; beyond this they have run away.
constexpr double run_away = 1000;

double largest_of(const Tensor& tensor) {
  double largest = 0;
  const auto look = [&](const auto& values) {
    for (const auto value : values) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  };
  tensor.dtype() == DType::f64 ? look(tensor.to_vector<double>()) : look(tensor.to_vector<float>());
  return largest;
}

}  // namespace

void LearningCheck::add(const std::vector<double>& logits, const std::int32_t* labels) {
  for (std::size_t row = 0; row < logits.size() / outputs_; ++row) {
    const double* values = logits.data() + row * outputs_;
    const auto best = static_cast<std::size_t>(std::max_element(values, values + outputs_) - values);
    double sum = 0;
    for (std::size_t c = 0; c < outputs_; ++c) {
      finite_ = finite_ && std::isfinite(values[c]);
      sum += std::exp(values[c] - values[best]);
    }
    if (samples_ == 0) predicted_ = best;
    constant_ = constant_ && best == predicted_;
    loss_ += std::log(sum) + values[best] - values[static_cast<std::size_t>(labels[row])];
    ++samples_;
  }
}

void LearningCheck::add(const std::vector<double>& predictions, const float* targets) {
  if (first_.empty()) first_.assign(predictions.begin(), predictions.begin() + static_cast<std::ptrdiff_t>(outputs_));
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    const double error = predictions[i] - static_cast<double>(targets[i]);
    finite_ = finite_ && std::isfinite(predictions[i]);
    constant_ = constant_ && predictions[i] == first_[i % outputs_];
    loss_ += error * error / static_cast<double>(outputs_);
  }
  samples_ += static_cast<std::int64_t>(predictions.size() / outputs_);
}

double mean_square(const std::vector<float>& targets) {
  double sum = 0;
  for (const float target : targets) sum += static_cast<double>(target) * static_cast<double>(target);
  return sum / static_cast<double>(targets.size());
}

double loss_of_shares(const std::vector<std::int32_t>& labels, std::int64_t classes) {
  std::vector<double> counts(static_cast<std::size_t>(classes));
  for (const std::int32_t label : labels) ++counts[static_cast<std::size_t>(label)];
  double loss = 0;
  const auto samples = static_cast<double>(labels.size());
  for (const double count : counts) {
    if (count > 0) loss -= count / samples * std::log(count / samples);
  }
  return loss;
}

LargestWeight largest_weight(const layers::ModuleState& state) {
  LargestWeight largest;
  for (const auto& parameter : state.parameters) {
    const double magnitude = largest_of(parameter.value());
    if (magnitude > largest.magnitude || largest.name.empty()) largest = {parameter.name, magnitude};
  }
  return largest;
}

std::string describe_constant_prediction(const data::Dataset& dataset, std::size_t predicted) {
  if (dataset.is_regression()) {
    return fmt::format("the trained model gives all {} training samples the same value; {}", dataset.size(), remedy);
  }
  const bool named = predicted < dataset.class_names.size();
  return fmt::format("the trained model gives all {} training samples the same class, {}; {}", dataset.size(),
                     named ? dataset.class_names[predicted] : std::to_string(predicted), remedy);
}

std::string describe_nothing_learned(double loss, double shares) {
  if (loss < shares) return {};
  return fmt::format(
      "the trained model's loss on its training samples, {:.4g}, is not below {:.4g}, which the targets' distribution "
      "alone gives: it learned nothing from the inputs; {}",
      loss, shares, remedy);
}

std::string describe_growth(const LargestWeight& start, const LargestWeight& end) {
  if (end.magnitude <= run_away * std::max(1.0, start.magnitude)) return {};
  return fmt::format(
      "the weights have run away: the largest, in {}, is {:.2g} in magnitude, and was {:.2g} at the "
      "start; {}",
      end.name, end.magnitude, start.magnitude, remedy);
}

std::string describe_constant_columns(const data::InputNormalization& normalization) {
  const auto& constant = normalization.constant_columns;
  if (constant.empty()) return {};
  constexpr std::size_t shown = 10;
  std::string numbers;
  for (std::size_t i = 0; i < std::min(constant.size(), shown); ++i) {
    numbers += fmt::format("{}{}", i == 0 ? "" : ", ", constant[i] + 1);
  }
  return fmt::format(
      "{} of {} features have one value alone in the training samples and were only centred: {}{} "
      "(counted from 1)",
      constant.size(), normalization.mean.size(), numbers, constant.size() > shown ? ", .." : "");
}

}  // namespace rtl::transfer::detail
