// Which samples mixup mixes, and in what shares (Zhang, Cisse, Dauphin and Lopez-Paz 2018).
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/data/sampler.hpp"

namespace rtl::transfer::detail {

/// Of one epoch, position by position of its order.
struct Mixture {
  std::vector<std::int64_t> partners;  ///< rows: of the position behind in the batch, for the last of the first
  std::vector<float> shares;           ///< of the sample itself, the same in all of a batch
};

/// Of the sampler's present epoch, drawn from Beta(alpha, alpha) by the seed. alpha is above 0.
Mixture draw_mixture(const data::BatchSampler& sampler, double alpha, std::uint64_t seed);

}  // namespace rtl::transfer::detail
