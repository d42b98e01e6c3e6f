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

double loss_of_error(double error, const Loss& loss) {
  if (loss.kind != LossKind::huber) return error * error;
  const double size = std::fabs(error), delta = loss.huber_delta;
  return size <= delta ? size * size / 2 : delta * (size - delta / 2);
}

}  // namespace

/// Of logits z and a label: log sum exp z - z_label, or the mean of log(1 + exp z) - z where it is the label's.
double LearningCheck::loss_of_row(const double* logits, std::size_t label) const {
  const double *end = logits + outputs_, largest = *std::max_element(logits, end);
  double sum = 0;
  if (loss_of_.kind == LossKind::bce) {
    for (const double* z = logits; z != end; ++z) sum += std::max(*z, 0.0) + std::log1p(std::exp(-std::fabs(*z)));
    return (sum - logits[label]) / static_cast<double>(outputs_);
  }
  for (const double* z = logits; z != end; ++z) sum += std::exp(*z - largest);
  return std::log(sum) + largest - logits[label];
}

void LearningCheck::add(const std::vector<double>& logits, const std::int32_t* labels) {
  for (std::size_t row = 0; row < logits.size() / outputs_; ++row) {
    const double* values = logits.data() + row * outputs_;
    const auto best = static_cast<std::size_t>(std::max_element(values, values + outputs_) - values);
    finite_ = finite_ && std::all_of(values, values + outputs_, [](double value) { return std::isfinite(value); });
    if (samples_ == 0) predicted_ = best;
    constant_ = constant_ && best == predicted_;
    loss_ += loss_of_row(values, static_cast<std::size_t>(labels[row]));
    ++samples_;
  }
}

void LearningCheck::add(const std::vector<double>& predictions, const float* targets) {
  if (first_.empty()) first_.assign(predictions.begin(), predictions.begin() + static_cast<std::ptrdiff_t>(outputs_));
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    finite_ = finite_ && std::isfinite(predictions[i]);
    constant_ = constant_ && predictions[i] == first_[i % outputs_];
    loss_ += loss_of_error(predictions[i] - static_cast<double>(targets[i]), loss_of_) / static_cast<double>(outputs_);
  }
  samples_ += static_cast<std::int64_t>(predictions.size() / outputs_);
}

double loss_of_mean(const std::vector<float>& targets, const Loss& loss) {
  double sum = 0;
  for (const float target : targets) sum += loss_of_error(static_cast<double>(target), loss);
  return sum / static_cast<double>(targets.size());
}

double loss_of_shares(const std::vector<std::int32_t>& labels, std::int64_t classes, const Loss& loss) {
  std::vector<double> counts(static_cast<std::size_t>(classes));
  for (const std::int32_t label : labels) ++counts[static_cast<std::size_t>(label)];
  const auto entropy = [](double share) { return share > 0 ? -share * std::log(share) : 0; };
  double sum = 0;
  for (const double count : counts) {
    const double share = count / static_cast<double>(labels.size());
    sum += entropy(share);
    if (loss.kind == LossKind::bce) sum += entropy(1 - share);
  }
  return loss.kind == LossKind::bce ? sum / static_cast<double>(classes) : sum;
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
