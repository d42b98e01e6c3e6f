// Inputs for benchmarks: normal numbers and labels from a fixed seed.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/kernels/dropout.hpp"

namespace rtl::bench {

inline Tensor random_values(const Shape& shape, const Device& device, std::uint64_t stream) {
  Tensor values(shape, DType::f32, device);
  kernels::normal(device, 0.0, 1.0, 1, stream, values);
  return values;
}

/// Whole numbers in [0, limit).
inline Tensor random_integers(std::int64_t count, std::int64_t limit, const Device& device, std::uint64_t stream) {
  const Philox random(1, stream);
  std::vector<std::int32_t> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::int32_t>(random.bits(i) % static_cast<std::uint64_t>(limit));
  }
  return Tensor::from(values, {count}, device);
}

}  // namespace rtl::bench
