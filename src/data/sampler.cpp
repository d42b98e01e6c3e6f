#include "rtl/data/sampler.hpp"

#include <fmt/format.h>

#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::data {
namespace {

constexpr std::uint64_t order_stream = 0x6f726465;

}  // namespace

BatchSampler::BatchSampler(std::int64_t size, std::int64_t batch_size, std::uint64_t seed, bool shuffle,
                           std::int64_t smallest_batch)
    : batch_size_(batch_size), seed_(seed), shuffle_(shuffle) {
  if (size < 1 || batch_size < 1) {
    throw ValueError(fmt::format("BatchSampler: {} samples in batches of {}; both must be positive", size, batch_size));
  }
  if (smallest_batch < 1) {
    throw ValueError(fmt::format("BatchSampler: a smallest batch of {}; it must be positive", smallest_batch));
  }
  const std::int64_t rest = size % batch_size;
  batches_ = size / batch_size + (rest > 0 ? 1 : 0);
  if (batches_ > 1 && rest > 0 && rest < smallest_batch) --batches_;
  order_.resize(static_cast<std::size_t>(size));
  start_epoch(0);
}

void BatchSampler::start_epoch(std::int64_t epoch) {
  if (epoch < 0) throw ValueError(fmt::format("BatchSampler::start_epoch: the epoch {} is negative", epoch));
  if (epoch == epoch_) return;
  if (shuffle_) {
    RandomSequence random(seed_, mix(order_stream, static_cast<std::uint64_t>(epoch)));
    order_ = random.permutation(static_cast<std::int64_t>(order_.size()));
  } else {
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
  }
  epoch_ = epoch;
}

std::span<const std::int64_t> BatchSampler::batch(std::int64_t index) const {
  if (index < 0 || index >= batches()) {
    throw ValueError(fmt::format("BatchSampler::batch: batch {} of {}", index, batches()));
  }
  const auto first = static_cast<std::size_t>(index * batch_size_);
  const bool last = index + 1 == batches();
  return order().subspan(first, last ? order_.size() - first : static_cast<std::size_t>(batch_size_));
}

}  // namespace rtl::data
