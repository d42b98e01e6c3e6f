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
#include <cooperative_groups.h>

// RTL_SHARED(float, tile, [32][33]) declares `float tile[32][33]` in shared memory.
#define RTL_SHARED(type, name, extents) __shared__ type name extents
// RTL_DYNAMIC_SHARED(float, tile) points to the launch's dynamic shared memory.
#define RTL_DYNAMIC_SHARED(type, name)                                \
  extern __shared__ __align__(16) unsigned char rtl_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(rtl_dynamic_shared)
#endif

namespace rtl::kernels::cuda {

template <typename... Parameters, typename... Arguments>
void start_kernel(bool cooperative, void (*kernel)(Parameters...), const dim3& grid, const dim3& block,
                  std::size_t shared_bytes, cudaStream_t stream, const Arguments&... arguments) {
#if RTL_CUDA_EMULATED
  RTL_CUDA_CHECK(emulation::submit(stream, [=] {
    try {
      emulation::run({grid, block, shared_bytes, cooperative}, [&] { kernel(static_cast<Parameters>(arguments)...); });
    } catch (const emulation::Fault& fault) {
      throw CudaError(fault.what());
    }
  }));
#else
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = grid;
  configuration.blockDim = block;
  configuration.dynamicSmemBytes = shared_bytes;
  configuration.stream = stream;
  configuration.attrs = &attribute;
  configuration.numAttrs = cooperative ? 1 : 0;
  RTL_CUDA_CHECK(cudaLaunchKernelEx(&configuration, kernel, static_cast<Parameters>(arguments)...));
#endif
}

/// Starts kernel(arguments...) on the device's stream; an empty grid does nothing. Throws CudaError. On a GPU, faults
/// inside the kernel appear at a later call or at Device::synchronize; the emulator reports them here.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const dim3& grid, const dim3& block, std::size_t shared_bytes,
            cudaStream_t stream, const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  start_kernel(false, kernel, grid, block, shared_bytes, stream, arguments...);
}

/// Starts a kernel whose blocks may wait for each other (synchronize_grid): at most `most` of them, and no more than
/// run side by side, so that how many there are depends on the GPU, and results must not depend on it.
template <typename... Parameters, typename... Arguments>
void launch_cooperative(const Device& device, void (*kernel)(Parameters...), std::int64_t most, const dim3& block,
                        const Arguments&... arguments) {
  const cudaStream_t stream = activate(device);
  int blocks = 0, multiprocessors = 0;
  RTL_CUDA_CHECK(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, static_cast<int>(block.x * block.y), 0));
  RTL_CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device.index()));
  const auto grid = static_cast<unsigned>(std::clamp<std::int64_t>(most, 1, std::int64_t{blocks} * multiprocessors));
  start_kernel(true, kernel, grid, block, 0, stream, arguments...);
}

/// Waits for all threads of a cooperative launch, and shows each what the others wrote before.
#if RTL_CUDA_EMULATED
inline void synchronize_grid(emulation::Location where = emulation::Location::current()) {
  emulation::synchronize_grid(where);
}
#else
__device__ inline void synchronize_grid() { cooperative_groups::this_grid().sync(); }
#endif

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

/// Whether this block is the last of `blocks` to come here: then it sees what the others wrote before, and the ticket
/// is 0 again. All threads of a block of at most 1,024 call it; `thread` is 0 in one of them.
__device__ inline bool is_last_block(unsigned* ticket, unsigned blocks, int thread) {
  RTL_SHARED(unsigned, arrived, [1]);
  __threadfence();
  __syncthreads();
  if (thread == 0) arrived[0] = atomicAdd(ticket, 1u);
  __syncthreads();
  if (arrived[0] + 1 != blocks) return false;
  __threadfence();
  if (thread == 0) *ticket = 0;
  return true;
}

}  // namespace rtl::kernels::cuda
