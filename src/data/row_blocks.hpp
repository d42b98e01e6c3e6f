// Work on rows some at a time, so that what lies in a file need not fit into memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::data {

/// Rows of `bytes` bytes in all that are worked on at a time.
inline std::int64_t rows_of_block(std::int64_t rows, std::size_t bytes) {
  constexpr std::size_t block = std::size_t{8} << 20;
  if (rows == 0) return 1;
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(block / std::max<std::size_t>(1, bytes / static_cast<std::size_t>(rows))));
}

/// Calls take(begin, end) for all rows of `tensor`, in order; the system reads the next block meanwhile.
template <typename Take>
void for_each_block(const Tensor& tensor, const Take& take) {
  const std::int64_t rows = tensor.extent(0), step = rows_of_block(rows, tensor.bytes());
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    tensor.will_need(begin + step, begin + 2 * step);
    take(begin, std::min(begin + step, rows));
  }
}

}  // namespace rtl::data
