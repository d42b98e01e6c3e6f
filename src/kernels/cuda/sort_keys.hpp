// Sorting on CUDA: a bitonic network (Batcher 1968), which has no data-dependent order.
#pragma once

#include <cstdint>

#include "rtl/core/device.hpp"

namespace rtl::kernels::cuda {

/// Sorts keys[0, count) in device memory in ascending order; `count` is a power of two. count log^2(count) / 4
/// comparisons; one launch up to 2048 keys.
void sort_keys(const Device& device, std::uint64_t* keys, std::int64_t count);

}  // namespace rtl::kernels::cuda
