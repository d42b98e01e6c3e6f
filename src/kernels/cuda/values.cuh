// Elements in the dtype in which they are stored, and as they are calculated with.
#pragma once

#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {

/// Neighbouring elements as they are calculated with.
template <int width, typename T>
__device__ inline Pack<Arithmetic<T>, width> load_values(const T* x, std::int64_t pack) {
  const auto stored = load_pack<width>(x, pack);
  Pack<Arithmetic<T>, width> values;
  for (int k = 0; k < width; ++k) values.value[k] = functors::convert<Arithmetic<T>>(stored.value[k]);
  return values;
}

template <int width, typename T>
__device__ inline void store_values(T* y, std::int64_t pack, const Pack<Arithmetic<T>, width>& values) {
  Pack<T, width> stored;
  for (int k = 0; k < width; ++k) stored.value[k] = functors::convert<T>(values.value[k]);
  store_pack<width>(y, pack, stored);
}

}  // namespace rtl::kernels::cuda
