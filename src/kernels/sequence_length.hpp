// The length of a sequence of a batch, as host and CUDA kernels read it.
#pragma once

#include <cstdint>

#include "rtl/core/macros.hpp"

namespace rtl::kernels {

/// lengths[n], brought into [0, most]; `most` without lengths.
RTL_HOST_DEVICE inline std::int64_t length_of(const std::int32_t* lengths, std::int64_t n, std::int64_t most) {
  if (lengths == nullptr) return most;
  const std::int64_t length = lengths[n];
  return length < 0 ? 0 : length > most ? most : length;
}

}  // namespace rtl::kernels
