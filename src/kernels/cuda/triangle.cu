#include "kernels/cuda/triangle.hpp"

#include "kernels/cuda/launch.cuh"

namespace rtl::kernels::cuda {
namespace {

template <typename T>
__global__ void upper_kernel(std::int64_t n, std::int64_t m, const T* columns, T* r) {
  for (std::int64_t index = grid_thread(); index < n * n; index += grid_threads()) {
    const std::int64_t i = index / n, j = index - i * n;
    r[index] = i <= j ? columns[j * m + i] : T(0);
  }
}

}  // namespace

void upper_triangle(const Device& device, const ConstView& columns, const View& r) {
  const std::int64_t n = columns.extent(0), m = columns.extent(1);
  if (r.dtype() == DType::f32) {
    launch(upper_kernel<float>, blocks_for(n * n), block_size, 0, activate(device), n, m, columns.data_as<float>(),
           r.data_as<float>());
  } else {
    launch(upper_kernel<double>, blocks_for(n * n), block_size, 0, activate(device), n, m, columns.data_as<double>(),
           r.data_as<double>());
  }
}

}  // namespace rtl::kernels::cuda
