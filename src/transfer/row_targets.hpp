// What is to be predicted of training rows, on the host.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::detail {

/// Labels, or targets in the units of a task: (target - mean) / deviation.
struct RowTargets {
  Task task;
  std::vector<std::int32_t> labels;
  std::vector<float> targets;  ///< [rows, task.outputs]
  std::vector<float> weights;  ///< [rows], of mean 1 over all rows of a fit; empty where all count alike

  /// Of the training rows of a fit, with the label flips that its trainings see (in their first epoch, where they are
  /// drawn anew in every one).
  static RowTargets of(const FitContext& context);
  static RowTargets of(const data::Dataset& dataset);
  std::int64_t rows() const;
  RowTargets subset(std::span<const std::int64_t> rows) const;
  /// One column a class, 1 for rows of it, or the targets: f32 [rows, task.outputs].
  Tensor columns(const Device& device) const;
  /// `weights` f32 [rows]; not defined where all count alike.
  Tensor row_weights(const Device& device) const;
};

}  // namespace rtl::transfer::detail
