// What every .cu file begins with: starting kernels and declaring shared memory, for nvcc and for the emulator of
// tests/emulation alike, and a few sizes.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/stream.hpp"
#include "rtl/core/tensor.hpp"

#if !RTL_CUDA_EMULATED
// RTL_SHARED(float, tile, [32][33]) declares `float tile[32][33]` in shared memory.
#define RTL_SHARED(type, name, extents) __shared__ type name extents
// RTL_DYNAMIC_SHARED(float, tile) points to the launch's dynamic shared memory.
#define RTL_DYNAMIC_SHARED(type, name)                                \
  extern __shared__ __align__(16) unsigned char rtl_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(rtl_dynamic_shared)
#endif

namespace rtl::kernels::cuda {

/// Starts kernel(arguments...) on the device's stream; an empty grid does nothing. Throws CudaError. On a GPU, faults
/// inside the kernel appear at a later call or at Device::synchronize; the emulator reports them here.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const dim3& grid, const dim3& block, std::size_t shared_bytes,
            cudaStream_t stream, const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#if RTL_CUDA_EMULATED
  RTL_CUDA_CHECK(emulation::submit(stream, [=] {
    try {
      emulation::run(grid, block, shared_bytes, [&] { kernel(static_cast<Parameters>(arguments)...); });
    } catch (const emulation::Fault& fault) {
      throw CudaError(fault.what());
    }
  }));
#else
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = grid;
  configuration.blockDim = block;
  configuration.dynamicSmemBytes = shared_bytes;
  configuration.stream = stream;
  RTL_CUDA_CHECK(cudaLaunchKernelEx(&configuration, kernel, static_cast<Parameters>(arguments)...));
#endif
}

constexpr int warp_size = 32;
constexpr unsigned all_lanes = 0xffffffffu;
constexpr int block_size = 256;

RTL_HOST_DEVICE constexpr std::int64_t ceil_divide(std::int64_t count, std::int64_t by) {
  return (count + by - 1) / by;
}

/// Blocks for a grid-stride loop over `count` items: enough for every GPU to be full, few enough to launch quickly.
inline unsigned blocks_for(std::int64_t count, int threads = block_size) {
  constexpr std::int64_t most = 4096;
  return static_cast<unsigned>(std::min(ceil_divide(count, threads), most));
}

/// This thread's place in a one-dimensional grid, and the number of threads in it: for grid-stride loops.
__device__ inline std::int64_t grid_thread() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline std::int64_t grid_threads() { return std::int64_t{gridDim.x} * blockDim.x; }

}  // namespace rtl::kernels::cuda
