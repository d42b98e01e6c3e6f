#include "kernels/cuda/sort_keys.hpp"

#include "kernels/cuda/launch.cuh"

namespace rtl::kernels::cuda {
namespace {

/// Keys that one block sorts in shared memory.
constexpr std::int64_t tile_size = 2048;

/// Lower place of the pair that comparison `i` of a step with this distance has.
__device__ std::int64_t lower_place(std::int64_t i, std::int64_t distance) { return 2 * i - i % distance; }

/// Puts two keys in order: ascending in runs of `run` keys at even places, descending in the others.
__device__ void order(std::uint64_t& lower, std::uint64_t& upper, std::int64_t place, std::int64_t run) {
  const bool ascending = (place & run) == 0;
  if ((lower > upper) != ascending) return;
  const std::uint64_t kept = lower;
  lower = upper;
  upper = kept;
}

/// The steps of runs first..last whose keys lie in one tile; a thread for each pair.
__global__ void sort_tile(std::uint64_t* keys, std::int64_t size, std::int64_t first, std::int64_t last) {
  RTL_SHARED(std::uint64_t, tile, [tile_size]);
  const std::int64_t begin = std::int64_t{blockIdx.x} * size, pair = threadIdx.x, half = size / 2;
  tile[pair] = keys[begin + pair];
  tile[pair + half] = keys[begin + pair + half];
  for (std::int64_t run = first; run <= last; run *= 2) {
    for (std::int64_t distance = run / 2 < half ? run / 2 : half; distance > 0; distance /= 2) {
      __syncthreads();
      const std::int64_t place = lower_place(pair, distance);
      order(tile[place], tile[place + distance], begin + place, run);
    }
  }
  __syncthreads();
  keys[begin + pair] = tile[pair];
  keys[begin + pair + half] = tile[pair + half];
}

/// One step whose pairs lie further apart.
__global__ void sort_step(std::uint64_t* keys, std::int64_t pairs, std::int64_t distance, std::int64_t run) {
  for (std::int64_t i = grid_thread(); i < pairs; i += grid_threads()) {
    const std::int64_t place = lower_place(i, distance);
    order(keys[place], keys[place + distance], place, run);
  }
}

}  // namespace

void sort_keys(const Device& device, std::uint64_t* keys, std::int64_t count) {
  if (count < 2) return;
  const std::int64_t size = std::min(count, tile_size), pairs = count / 2;
  const auto tiles = static_cast<unsigned>(count / size), threads = static_cast<unsigned>(size / 2);
  const cudaStream_t stream = activate(device);
  launch(sort_tile, tiles, threads, 0, stream, keys, size, std::int64_t{2}, size);
  for (std::int64_t run = 2 * size; run <= count; run *= 2) {
    for (std::int64_t distance = run / 2; distance >= size; distance /= 2) {
      launch(sort_step, blocks_for(pairs), block_size, 0, stream, keys, pairs, distance, run);
    }
    launch(sort_tile, tiles, threads, 0, stream, keys, size, run, run);
  }
}

}  // namespace rtl::kernels::cuda
