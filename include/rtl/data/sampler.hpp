// The order in which training visits samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::data {

/// Mini-batches without replacement: every epoch visits each row once, in an order that is a pure function of (seed,
/// epoch). Nothing but the epoch's number is needed to resume. The last, partial batch is kept; one of fewer rows than
/// `smallest_batch` joins the batch before it, which is larger then, so that every row is still visited.
class BatchSampler {
 public:
  /// Starts at epoch 0. With shuffle = false the order is 0 .. size-1 in every epoch. Throws ValueError unless size,
  /// batch_size and smallest_batch are positive.
  BatchSampler(std::int64_t size, std::int64_t batch_size, std::uint64_t seed, bool shuffle = true,
               std::int64_t smallest_batch = 1);

  /// Goes to any epoch >= 0, in any order. Cost: one permutation of `size` numbers.
  void start_epoch(std::int64_t epoch);
  std::int64_t epoch() const noexcept { return epoch_; }
  /// Batches of an epoch: size / batch_size, rounded up, or down where the last one joins the one before.
  std::int64_t batches() const noexcept { return batches_; }
  /// Rows of batch `index` of this epoch; valid until the next start_epoch. Throws ValueError outside [0, batches()).
  std::span<const std::int64_t> batch(std::int64_t index) const;
  /// All rows of this epoch, in order.
  std::span<const std::int64_t> order() const noexcept { return order_; }

 private:
  std::int64_t batch_size_;
  std::uint64_t seed_;
  bool shuffle_;
  std::int64_t batches_ = 0;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace rtl::data
