// What changes from one training step to the next, in memory of the device: kernels read it there, so a step that was
// prepared once can be run again and again without being told anything.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// Positions in a tensor of counters, i64 [Counters::count].
struct Counters {
  static constexpr std::int64_t seed = 0;   ///< of dropout and augmentation
  static constexpr std::int64_t step = 1;   ///< steps done, over all epochs
  static constexpr std::int64_t begin = 2;  ///< where the batch starts in the epoch's order of rows
  static constexpr std::int64_t batch = 3;  ///< number of the batch in the epoch
  static constexpr std::int64_t count = 4;
};

/// Positions in a tensor of rates, f64 [Rates::count].
struct Rates {
  static constexpr std::int64_t learning_rate = 0;
  static constexpr std::int64_t weight_decay = 1;
  static constexpr std::int64_t l2sp_strength = 2;
  /// The learning rate of step t, counted from 1, is multiplied by min(1, t / warmup_steps); 0: by 1.
  static constexpr std::int64_t warmup_steps = 3;
  /// Of schedule-free AdamW, the sum over the steps before this epoch of (1 - beta2^t) min(1, t / warmup_steps)^2.
  static constexpr std::int64_t weight_sum = 4;
  static constexpr std::int64_t count = 5;
};

/// The end of a step, in one launch: losses[batch] = loss, then batch and step grow by 1 and begin by `batch_size`.
/// counters [4], losses [batches] (f32 or f64), loss one element (f32 or f64); or counters [R, 4], losses [R, batches]
/// and loss [R, 1] for R replicas. The caller keeps `batch` below the number of batches. Throws DTypeError, ShapeError,
/// DeviceError.
void advance(const Device& device, View counters, View losses, ConstView loss, std::int64_t batch_size);

}  // namespace rtl::kernels
