// The plans that are made of convolutions by the real cuDNN, for GPUs of which it has the description alone: what is
// asked of it is well formed, it has engines for it, and these have the precision and the sums that they must have. No
// GPU is needed, and nothing is run on one. Part of builds with nvcc, and of scripts/check-cuda-host.
#include "kernels/cuda/vendor/cudnn_plan.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/vendor/dnn.hpp"
#include "rtl/core/error.hpp"

namespace rtl::kernels::cuda::vendor {
namespace {

struct Gpu {
  std::string name;
  int capability, multiprocessors, shared_memory;
};

const std::vector<Gpu> gpus = {{"A100", 800, 108, 166912},
                               {"H200", 900, 132, 232448},
                               {"B200", 1000, 148, 232448},
                               {"RTX 5090", 1200, 170, 101376}};

/// What cudaGetDeviceProperties gives, as the library writes it down.
std::string description(const Gpu& gpu) {
  return fmt::format(
      R"({{"cudaDeviceId":0,"deviceVer":{},"driverVer":13000,"maxGridSize":[2147483647,65535,65535],)"
      R"("maxBlockSize":[1024,1024,64],"regsPerBlock":65536,"multiProcessorCount":{},"smCountOrigin":0,"warpSize":32,)"
      R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":{},"oversizedSharedMemoryPerBlock":0,)"
      R"("reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,)"
      R"("maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,"supportCoopLaunch":1,"smClockRateKHz":1980000,)"
      R"("memClockRateKHz":3201000,"memoryBusWidth":6144,"l2CacheSize":62914560,"totalGlobalMem":80000000000,)"
      R"("deviceName":"{}"}})",
      gpu.capability, gpu.multiprocessors, gpu.shared_memory, gpu.name);
}

/// Absent where the library cannot load its engines, which want the driver's library, and says so in `reason`.
std::optional<Descriptor> properties_of(const Gpu& gpu, std::string& reason) {
  Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  const std::string text = description(gpu);
  properties.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(text.c_str(), text.size() + 1));
  try {
    if (properties.finalize()) return properties;
    reason = "not supported";
  } catch (const CudaError& error) {
    reason = error.what();
    if (reason.find("SUBLIBRARY_LOADING_FAILED") == std::string::npos) throw;
  }
  return std::nullopt;
}

struct Geometry {
  std::int64_t images, extent, in, out, kernel, stride, groups;
};

/// Of ResNet-20, paper_cnn, an image network's entrance, a 1x1 convolution and one of groups.
const std::vector<Geometry> geometries = {
    {128, 32, 16, 16, 3, 1, 1}, {128, 32, 16, 32, 3, 2, 1}, {64, 32, 3, 32, 3, 1, 1},  {64, 16, 32, 64, 5, 1, 1},
    {16, 224, 3, 32, 3, 2, 1},  {32, 56, 96, 24, 1, 1, 1},  {8, 28, 128, 128, 3, 1, 4}};

Problem problem_of(const Geometry& g, Direction direction, DType dtype, bool tf32) {
  const std::int64_t padding = g.kernel / 2, extent = (g.extent + 2 * padding - g.kernel) / g.stride + 1;
  return {.direction = direction,
          .dtype = dtype,
          .tf32 = tf32,
          .x = {g.images, g.extent, g.extent, g.in},
          .w = {g.out, g.kernel, g.kernel, g.in / g.groups},
          .y = {g.images, extent, extent, g.out},
          .stride = g.stride,
          .dilation = 1,
          .padding = {padding, padding}};
}

bool has(const Plan& plan, cudnnBackendNumericalNote_t note) {
  return std::find(plan.notes().begin(), plan.notes().end(), note) != plan.notes().end();
}

class CudnnPlan : public ::testing::TestWithParam<Gpu> {
 protected:
  void SetUp() override {
    std::string reason;
    properties_ = properties_of(GetParam(), reason);
    if (!properties_)
      GTEST_SKIP() << "NOT TESTED without the library of a CUDA driver: cuDNN's plans (" << reason << ")";
  }
  Target target() const { return {.properties = &*properties_}; }

  /// `body` of each problem without anything behind it.
  template <typename Body>
  void for_each(Direction direction, const Body& body) const {
    for (const Geometry& g : geometries) {
      for (const auto& [dtype, tf32] : {std::pair(DType::f32, false), {DType::f32, true}, {DType::bf16, false}}) {
        SCOPED_TRACE(fmt::format("{} images of {}x{}, {} to {} channels, kernel {}, stride {}, {} groups, {}{}",
                                 g.images, g.extent, g.extent, g.in, g.out, g.kernel, g.stride, g.groups,
                                 dtype == DType::bf16 ? "bf16" : "f32", tf32 ? ", TF32" : ""));
        body(problem_of(g, direction, dtype, tf32));
      }
    }
  }

 private:
  std::optional<Descriptor> properties_;
};

TEST_P(CudnnPlan, AreThereForEveryDirectionInTheirPrecision) {
  for (const Direction direction : {Direction::forward, Direction::backward_data, Direction::backward_weights}) {
    for_each(direction, [&](const Problem& problem) {
      const auto plan = Plan::make(target(), problem);
      ASSERT_NE(plan, nullptr);
      EXPECT_LE(plan->workspace_bytes(), std::int64_t{256} << 20);
      EXPECT_FALSE(has(*plan, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC));
      EXPECT_FALSE(has(*plan, CUDNN_NUMERICAL_NOTE_WINOGRAD));
      if (problem.dtype == DType::f32 && !problem.tf32) {
        EXPECT_FALSE(has(*plan, CUDNN_NUMERICAL_NOTE_TENSOR_CORE));
      }
    });
  }
}

/// An address is only looked at when a plan runs.
void* somewhere(std::uintptr_t multiple) { return reinterpret_cast<void*>(multiple * dnn_alignment); }

TEST_P(CudnnPlan, TakeAddresses) {
  Problem problem = problem_of(geometries[0], Direction::forward, DType::f32, false);
  for (const bool bias : {false, true}) {
    problem.bias = bias;
    const auto plan = Plan::make(target(), problem);
    ASSERT_NE(plan, nullptr);
    const Operands operands{.x = somewhere(1), .w = somewhere(2), .y = somewhere(3), .bias = somewhere(4)};
    EXPECT_NO_THROW(plan->bind(operands, somewhere(5)));  // what was bound cannot be read
  }
}

/// What follows the sums leaves them as they are.
TEST_P(CudnnPlan, TakeTheEngineOfTheSumsAlone) {
  for_each(Direction::forward, [&](Problem problem) {
    if (problem.dtype == DType::bf16) return;  // may_fuse
    problem.bias = true;
    const auto biased = Plan::make(target(), problem);
    ASSERT_NE(biased, nullptr);
    problem.relu = true;
    const auto plan = Plan::make(target(), problem, biased->engine());
    ASSERT_NE(plan, nullptr);
    EXPECT_EQ(plan->engine(), biased->engine());
  });
  for_each(Direction::backward_data, [&](Problem problem) {
    const auto alone = Plan::make(target(), problem);
    ASSERT_NE(alone, nullptr);
    problem.accumulate = true;
    const auto plan = Plan::make(target(), problem, alone->engine());
    ASSERT_NE(plan, nullptr);
    EXPECT_EQ(plan->engine(), alone->engine());
  });
}

TEST_P(CudnnPlan, OfWhatIsNoConvolutionAreRefusedWithTheReason) {
  Problem problem = problem_of(geometries[0], Direction::forward, DType::f32, false);
  problem.y[1] += 3;
  try {
    Plan::make(target(), problem);
    FAIL() << "no exception";
  } catch (const CudaError& error) {
    EXPECT_NE(std::string(error.what()).find("CUDNN_STATUS_BAD_PARAM"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Gpus, CudnnPlan, ::testing::ValuesIn(gpus),
                         [](const auto& info) { return fmt::format("sm{}", info.param.capability / 10); });

TEST(Problem, OfTheSameSums) {
  Problem problem = problem_of(geometries[0], Direction::forward, DType::f32, false);
  EXPECT_EQ(with_the_same_sums(problem), problem);
  Problem biased = problem;
  biased.bias = true;
  EXPECT_EQ(with_the_same_sums(biased), biased);
  Problem rectified = biased;
  rectified.relu = true;
  EXPECT_EQ(with_the_same_sums(rectified), biased);
  Problem added = problem_of(geometries[0], Direction::backward_data, DType::f32, false), alone = added;
  added.accumulate = true;
  EXPECT_EQ(with_the_same_sums(added), alone);
}

}  // namespace
}  // namespace rtl::kernels::cuda::vendor
