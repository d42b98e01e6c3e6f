// Many tensors in one launch: each is cut into chunks, and a block works on one of them.
#pragma once

#include "kernels/cuda/launch.cuh"

namespace rtl::kernels::cuda {

/// Elements [begin, end) of a tensor.
struct Chunk {
  int tensor;
  std::int64_t begin, end;
};

template <int capacity>
struct Chunks {
  static constexpr std::int64_t size = 4 * block_size;

  int tensors = 0;
  std::int64_t total = 0;
  std::int64_t count[capacity];
  std::int64_t before[capacity];  ///< chunks of the tensors in front of it

  /// The number of a tensor of so many elements, at least one, behind the others.
  int add(std::int64_t elements) {
    count[tensors] = elements;
    before[tensors] = total;
    total += ceil_divide(elements, size);
    return tensors++;
  }
  /// Number `index` of all, found by bisection.
  __device__ Chunk operator[](std::int64_t index) const {
    int low = 0, high = tensors;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (before[middle] <= index) {
        low = middle;
      } else {
        high = middle;
      }
    }
    const std::int64_t begin = (index - before[low]) * size;
    return {low, begin, begin + size < count[low] ? begin + size : count[low]};
  }
};

}  // namespace rtl::kernels::cuda
