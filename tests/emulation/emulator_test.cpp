// The emulator itself: right kernels give right results in every order, and wrong ones are caught.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/cuda/launch.cuh"
#include "support/emulation_order.hpp"

namespace rtl::kernels::cuda {
namespace {

using OrderScope = rtl::test::EmulationOrder;
using rtl::test::emulation_orders;

template <typename... Parameters, typename... Arguments>
void run(void (*kernel)(Parameters...), const dim3& grid, const dim3& block, std::size_t shared_bytes,
         const Arguments&... arguments) {
  launch(kernel, grid, block, shared_bytes, nullptr, arguments...);
}

/// The text of the CudaError that a launch ends with.
template <typename F>
std::string fault_of(const F& f) {
  try {
    f();
  } catch (const CudaError& error) {
    return error.what();
  }
  return "no fault";
}

__global__ void write_place(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

TEST(Emulator, RunsEveryThreadOnceInEveryOrder) {
  for (const std::string& order : emulation_orders) {
    const OrderScope scope(order);
    std::vector<unsigned> out(24 * 60, 0);
    run(write_place, dim3(2, 3, 4), dim3(3, 4, 5), 0, out.data());
    for (unsigned i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], i / 60 * 1000 + i % 60) << order;
  }
}

template <bool with_barrier>
__global__ void rotate(int* values) {
  RTL_SHARED(int, staged, [128]);
  staged[threadIdx.x] = values[threadIdx.x];
  if (with_barrier) __syncthreads();
  values[threadIdx.x] = staged[(threadIdx.x + 1) % blockDim.x];
}

std::vector<int> rotated(void (*kernel)(int*), const std::string& order) {
  const OrderScope scope(order);
  std::vector<int> values(128);
  std::iota(values.begin(), values.end(), 0);
  run(kernel, 1, 128, 0, values.data());
  return values;
}

TEST(Emulator, BarriersHold) {
  for (const std::string& order : emulation_orders) {
    const std::vector<int> values = rotated(rotate<true>, order);
    for (int i = 0; i < 128; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], (i + 1) % 128) << order;
  }
}

TEST(Emulator, AMissingBarrierShowsInEveryOrder) {
  const std::vector<int> right = rotated(rotate<true>, "forward");
  for (const std::string& order : emulation_orders) EXPECT_NE(rotated(rotate<false>, order), right) << order;
}

/// Uses what the neighbour before wrote, which a forward schedule happens to have ready.
__global__ void lucky(int* values) {
  RTL_SHARED(int, staged, [128]);
  staged[threadIdx.x] = values[threadIdx.x];
  values[threadIdx.x] = threadIdx.x == 0 ? -1 : staged[threadIdx.x - 1];
}

TEST(Emulator, ReverseAndShuffledOrdersFindWhatForwardHides) {
  const std::vector<int> forward = rotated(lucky, "forward");
  EXPECT_EQ(forward[5], 4);
  for (const char* order : {"reverse", "shuffled:1", "shuffled:2"}) EXPECT_NE(rotated(lucky, order), forward) << order;
}

__global__ void sum_by_shuffles(const double* in, double* out) {
  double sum = in[threadIdx.x];
  for (int bits = 16; bits > 0; bits /= 2) sum += __shfl_xor_sync(all_lanes, sum, bits);
  out[threadIdx.x] = sum;
}

__global__ void exchange(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32), half = lane / 16 * 16;
  const unsigned mask = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  int* own = out + threadIdx.x * 8;
  own[0] = __shfl_sync(all_lanes, lane, 7);
  own[1] = __shfl_down_sync(all_lanes, lane, 3);
  own[2] = __shfl_up_sync(all_lanes, lane, 2);
  own[3] = static_cast<int>(__ballot_sync(all_lanes, lane % 3 == 0 ? 1 : 0));
  own[4] = __any_sync(mask, lane == 20 ? 1 : 0) * 2 + __all_sync(mask, lane >= 16 ? 1 : 0);
  own[5] = __reduce_add_sync(mask, lane);
  own[6] = __reduce_max_sync(mask, lane) * 100 + __reduce_min_sync(mask, lane);
  __syncwarp(mask);
  own[7] = __shfl_sync(mask, half + lane % 4, 2, 16);
}

TEST(Emulator, WarpPrimitivesExchangeValues) {
  for (const std::string& order : emulation_orders) {
    const OrderScope scope(order);
    std::vector<double> in(96), sums(96);
    std::iota(in.begin(), in.end(), 1.0);
    run(sum_by_shuffles, 1, 96, 0, in.data(), sums.data());
    for (std::size_t i = 0; i < 96; ++i) ASSERT_EQ(sums[i], 32.0 * static_cast<double>(i / 32 * 32) + 528.0) << order;

    std::vector<int> out(64 * 8);
    run(exchange, 1, 64, 0, out.data());
    for (int thread = 0; thread < 64; ++thread) {
      const int lane = thread % 32, high = lane / 16;
      const int* own = out.data() + thread * 8;
      EXPECT_EQ(own[0], 7);
      EXPECT_EQ(own[1], lane + 3 < 32 ? lane + 3 : lane);
      EXPECT_EQ(own[2], lane >= 2 ? lane - 2 : lane);
      EXPECT_EQ(own[3], 0x49249249);
      EXPECT_EQ(own[4], high * 3);
      EXPECT_EQ(own[5], high == 0 ? 120 : 376);
      EXPECT_EQ(own[6], high == 0 ? 1500 : 3116);
      EXPECT_EQ(own[7], high * 16 + 2);
    }
  }
}

__global__ void any_of(const int* in, int* out) { out[threadIdx.x] = __syncthreads_or(in[threadIdx.x]); }

TEST(Emulator, BarriersCarryAPredicate) {
  std::vector<int> in(70, 0), out(70, -1);
  run(any_of, 1, 70, 0, in.data(), out.data());
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 0);
  in[69] = 1;
  run(any_of, 1, 70, 0, in.data(), out.data());
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 70);
}

__global__ void read_unwritten(float* out) {
  RTL_SHARED(float, staged, [64]);
  out[threadIdx.x] = staged[threadIdx.x];
  staged[threadIdx.x] = 1.0f;
}

TEST(Emulator, SharedMemoryIsNanWhenABlockStarts) {
  std::vector<float> out(64, 0.0f);
  run(read_unwritten, 3, 64, 0, out.data());
  for (const float value : out) EXPECT_TRUE(std::isnan(value));
}

TEST(EmulatorDeathTest, DeviceMemoryIsNanWhenAllocatedAndLockedToTheHost) {
  void* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, 40), cudaSuccess);
  {
    const emulation::DeviceAccess access;
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(std::isnan(static_cast<float*>(memory)[i]));
  }
  EXPECT_DEATH(static_cast<volatile float*>(memory)[0] = 1, "") << "the host wrote to memory of the device";
  cudaFree(memory);
}

__global__ void barrier_in_branches() {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void barrier_after_return() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}
__global__ void barrier_in_half_a_warp() {
  if (threadIdx.x % 32 < 16) __shfl_xor_sync(all_lanes, 1, 1);
  __syncthreads();
}
__global__ void shuffle_from_outside() {
  __shfl_sync(0x3u << (threadIdx.x & ~1u), 1, static_cast<int>(threadIdx.x ^ 2u));
}
__global__ void lane_not_in_mask() { __ballot_sync(0x0000ffffu, 1); }
__global__ void too_much_shared() {
  RTL_SHARED(double, big, [10000]);
  big[threadIdx.x] = 0;
}
__global__ void nothing() {}

TEST(Emulator, DivergenceEndsTheLaunchWithAnError) {
  for (const std::string& order : emulation_orders) {
    const OrderScope scope(order);
    EXPECT_NE(fault_of([] { run(barrier_in_branches, 1, 64, 0); }).find("different barriers"), std::string::npos);
    EXPECT_NE(fault_of([] { run(barrier_after_return, 1, 64, 0); }).find("only 63 of 64"), std::string::npos);
    EXPECT_NE(fault_of([] { run(barrier_in_half_a_warp, 1, 64, 0); }).find("not all lanes"), std::string::npos);
    EXPECT_NE(fault_of([] { run(shuffle_from_outside, 1, 32, 0); }).find("not in its mask"), std::string::npos);
    EXPECT_NE(fault_of([] { run(lane_not_in_mask, 1, 32, 0); }).find("not in its mask"), std::string::npos);
  }
  // The scheduler is whole again afterwards.
  EXPECT_EQ(rotated(rotate<true>, "forward")[0], 1);
}

TEST(Emulator, ErrorsNameThePlace) {
  const OrderScope scope("forward");
  const std::string text = fault_of([] { run(barrier_after_return, dim3(1, 2), 64, 0); });
  EXPECT_NE(text.find("block (0,0,0), thread (0,0,0)"), std::string::npos) << text;
  EXPECT_NE(text.find("emulator_test.cpp:"), std::string::npos) << text;
}

TEST(Emulator, ImpossibleLaunchesAreErrors) {
  EXPECT_NE(fault_of([] { run(nothing, 1, 1025, 0); }).find("1025 threads"), std::string::npos);
  EXPECT_NE(fault_of([] { run(nothing, dim3(1, 65536), 32, 0); }).find("grid"), std::string::npos);
  EXPECT_NE(fault_of([] { run(too_much_shared, 1, 32, 0); }).find("80000 bytes of shared memory"), std::string::npos);
  const OrderScope scope("sideways");
  EXPECT_NE(fault_of([] { run(nothing, 1, 1, 0); }).find("sideways"), std::string::npos);
}

/// Each block writes its number, and reads its neighbour's behind the barrier: true where all blocks wait.
__global__ void read_neighbour(int* mine, int* neighbours) {
  for (int round = 1; round <= 3; ++round) {
    if (threadIdx.x == 0) mine[blockIdx.x] = round * 100 + static_cast<int>(blockIdx.x);
    synchronize_grid();
    if (threadIdx.x == 33) neighbours[blockIdx.x] = mine[(blockIdx.x + 1) % gridDim.x] - round * 100;
    synchronize_grid();
  }
}
__global__ void grid_barrier_in_one_block() {
  if (blockIdx.x == 1) synchronize_grid();
}
__global__ void grid_barrier_in_one_thread() {
  if (threadIdx.x == 0) synchronize_grid();
}
__global__ void grid_barrier_in_branches() {
  if (blockIdx.x == 0) {
    synchronize_grid();
  } else {
    synchronize_grid();
  }
}
__global__ void grid_and_block_barrier() {
  if (threadIdx.x == 0) {
    synchronize_grid();
  } else {
    __syncthreads();
  }
}

TEST(Emulator, BlocksOfACooperativeLaunchWaitForEachOther) {
  const Device device = Device::cuda(0);
  for (const std::string& order : emulation_orders) {
    const OrderScope scope(order);
    Tensor mine({6}, DType::i32, device), neighbours({6}, DType::i32, device);
    launch_cooperative(device, read_neighbour, 100, 64, mine.data_as<std::int32_t>(),
                       neighbours.data_as<std::int32_t>());
    EXPECT_EQ(neighbours.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 2, 3, 4, 5, 0})) << order;
    const auto fault = [&](void (*kernel)()) { return fault_of([&] { launch_cooperative(device, kernel, 2, 64); }); };
    EXPECT_NE(fault(grid_barrier_in_one_block).find("only 1 of 2 blocks"), std::string::npos);
    EXPECT_NE(fault(grid_barrier_in_one_thread).find("of the grid that only 1 of 64"), std::string::npos);
    EXPECT_NE(fault(grid_barrier_in_branches).find("different barriers of the grid"), std::string::npos);
    EXPECT_NE(fault(grid_and_block_barrier).find("wait for the grid"), std::string::npos);
    EXPECT_NE(fault_of([] { run(grid_barrier_in_one_thread, 1, 1, 0); }).find("not cooperative"), std::string::npos);
  }
}

#if defined(__SANITIZE_ADDRESS__)
__global__ void beyond_shared(int offset, int* out) {
  RTL_SHARED(int, staged, [33]);
  int* first = staged;  // through a pointer, so that not UBSan's knowledge of the array reports it
  first[static_cast<int>(threadIdx.x) + offset] = 1;
  __syncthreads();
  out[threadIdx.x] = staged[threadIdx.x];
}
__global__ void beyond_global(int* out, int at) { out[at] = 1; }

TEST(EmulatorDeathTest, OutOfBoundsIsReported) {
  std::vector<int> out(32);
  run(beyond_shared, 1, 32, 0, 1, out.data());
  EXPECT_DEATH(run(beyond_shared, 1, 32, 0, 2, out.data()), "AddressSanitizer: heap-buffer-overflow");
  const Device device = Device::cuda(0);
  Tensor tensor({33}, DType::i32, device);
  run(beyond_global, 1, 1, 0, tensor.data_as<std::int32_t>(), 32);
  EXPECT_DEATH(run(beyond_global, 1, 1, 0, tensor.data_as<std::int32_t>(), 33), "AddressSanitizer");
  std::int32_t* stale = Tensor({33}, DType::i32, device).data_as<std::int32_t>();
  EXPECT_DEATH(run(beyond_global, 1, 1, 0, stale, 0), "AddressSanitizer");
}
#endif

TEST(Emulator, ScratchAndContextWork) {
  const Device device = Device::cuda(0);
  const Tensor from = Tensor::from<float>({1, 2, 3}, {3}, device);
  EXPECT_EQ(from.to_vector<float>(), (std::vector<float>{1, 2, 3}));
  const std::size_t before = device.memory().in_use;
  { const Scratch<double> scratch(device, 100); }
  EXPECT_EQ(device.memory().in_use, before);
  device.synchronize();
  EXPECT_THROW(Device::cuda(1), DeviceError);
  EXPECT_THROW(Tensor({std::int64_t{1} << 40}, DType::f32, device), OutOfMemory);
  EXPECT_NE(device.description().find("emulator"), std::string::npos);
}

}  // namespace
}  // namespace rtl::kernels::cuda
