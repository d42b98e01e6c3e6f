// What `rtl predict --model` names: a fitted predictor, or a checkpoint of a network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_spec.hpp"
#include "rtl/transfer/predictor.hpp"

namespace rtl::cli {

class PredictionModel {
 public:
  /// What transfer::Fitted::save wrote, or a checkpoint. Throws UsageError for what a fitted predictor has no use for:
  /// an architecture, a normalisation, another precision than f32; IoError, and FormatError for a network without a
  /// head.
  static PredictionModel load(const ModelSpec& spec, const Device& device, Precision precision);

  const std::string& file() const { return file_; }
  const transfer::Task& task() const { return task_; }
  /// That it was fitted by; absent for a checkpoint that does not say.
  const std::optional<std::string>& strategy() const { return strategy_; }
  /// Of a network alone; absent for others.
  std::optional<std::string> architecture() const;
  std::optional<std::string> normalization() const;
  std::int64_t parameter_count() const;
  /// A line for people.
  std::string description() const;

  /// Frozen sources that it looks at.
  std::vector<transfer::FrozenSource> sources() const;
  /// Outputs f32 [N, outputs]: logits, or predictions in the target's units. `batch_size` is that of a checkpoint.
  /// Throws ShapeError for samples that are not what it takes, ValueError for outputs that are not finite.
  Tensor outputs(const data::Dataset& dataset, const transfer::FeatureLookup& features, std::int64_t batch_size) const;

 private:
  PredictionModel() = default;

  std::string file_;
  transfer::Task task_;
  std::optional<std::string> strategy_;
  std::optional<transfer::FrozenSource> network_;  ///< either this ..
  std::optional<transfer::Fitted> fitted_;         ///< .. or this
};

}  // namespace rtl::cli
