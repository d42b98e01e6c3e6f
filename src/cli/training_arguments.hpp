// The options that training commands share, and what they mean to the library.
#pragma once

#include <cstdint>
#include <string>
#include "cli/command_line_classes.hpp"

#include "rtl/core/device.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::cli {

/// --device and --threads.
struct DeviceArguments {
  std::string device = "preferred";
  int threads = 0;

  void add_to(CLI::App& command);
  /// Throws UsageError for a text that names no device; DeviceError or NotCompiled where it does not exist.
  Device open() const;
};

/// Adds --precision, read by parsed_precision.
void add_precision(CLI::App& command, std::string& precision, const std::string& what);
/// Throws UsageError for an unknown name.
Precision parsed_precision(const std::string& precision);

/// A flag for each option that transfer::TrainingOptions describes, --normalize and which samples are taken. To stay
/// where it is after add_to.
struct TrainingArguments {
  transfer::TrainingOptions options;
  std::string normalization = "auto";
  std::int64_t train_limit = 0;
  std::int64_t train_offset = 0;

  void add_to(CLI::App& command);
  /// options, which end with Ctrl-C. Throws UsageError for those that contradict each other.
  transfer::TrainingOptions training() const;
  /// Throws UsageError for an unknown name.
  data::Normalization parsed_normalization() const;
  /// The same, checked against the inputs of `train`: UsageError for one that is for others.
  data::Normalization parsed_normalization(const data::Dataset& train) const;
};

/// What `work` returns; tells a diverged training with the flags that mend it.
template <typename Work>
auto with_training_flags(const Work& work) {
  try {
    return work();
  } catch (const transfer::TrainingDiverged& error) {
    throw transfer::TrainingDiverged(std::string(error.what()) + " (--learning-rate, --normalize)", error.epoch(),
                                     error.step(), error.learning_rate());
  }
}

/// Drops the first `offset` samples. Throws ValueError if none is left.
data::Dataset drop_first(data::Dataset dataset, std::int64_t offset);

}  // namespace rtl::cli
