#include "rtl/core/device.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "rtl/core/memory.hpp"
#include "rtl/core/tensor.hpp"

namespace rtl {
namespace {

struct Counter {
  explicit Counter(detail::Context&) { ++made; }
  int uses = 0;
  static inline int made = 0;
};

TEST(Device, HandlesToOneDeviceShareItsContext) {
  const Device first = Device::cpu(2);
  const Device second = Device::cpu(2);
  EXPECT_EQ(&first.context(), &second.context());
  EXPECT_EQ(first.threads(), 2);
  EXPECT_EQ(first.name(), "cpu");
  const Device apart = first.separate();
  EXPECT_NE(&first.context(), &apart.context());
  EXPECT_TRUE(first == apart);  // host memory may meet
  EXPECT_THROW((void)Device::cpu(-1), ValueError);
}

TEST(Device, ParsesItsNames) {
  EXPECT_EQ(Device::parse("cpu", 3).threads(), 3);
  EXPECT_THROW((void)Device::parse("gpu"), ValueError);
  EXPECT_THROW((void)Device::parse("cuda:"), ValueError);
  EXPECT_THROW((void)Device::parse("cuda:1x"), ValueError);
  EXPECT_THROW((void)Device::parse("cuda:-1"), ValueError);
}

TEST(Device, SaysWhatIsMissingForCuda) {
  const int count = Device::cuda_count();
  try {
    (void)Device::cuda(count);
    FAIL() << "a device beyond the last one was made";
  } catch (const NotCompiled& error) {
    EXPECT_NE(std::string(error.what()).find("RTL_CUDA"), std::string::npos);
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(count)), std::string::npos);
  }
}

TEST(Allocator, ReusesBlocksAndKeepsItsHighWaterMark) {
  const Device device = Device::cpu().separate();
  void* const address = Tensor({1000}, DType::f32, device).view().data();
  EXPECT_EQ(device.memory().in_use, 0u);
  const Tensor again({1000}, DType::f32, device);
  EXPECT_EQ(again.view().data(), address);
  EXPECT_EQ(device.memory().allocations, 1u);
  EXPECT_GE(device.memory().high_water, 4000u);
  const std::size_t before = device.memory().high_water;
  { const Tensor larger({4000}, DType::f64, device); }
  EXPECT_GE(device.memory().high_water, before + 32000);
  EXPECT_GT(device.memory().cached, 0u);
  device.trim();
  EXPECT_EQ(device.memory().cached, 0u);
  EXPECT_NE(device.memory().to_string().find("high-water"), std::string::npos);
}

TEST(Allocator, ReportsExhaustionWithItsFigures) {
  const Device device = Device::cpu().separate();
  const Tensor some({1024}, DType::u8, device);
  try {
    const Tensor huge({std::int64_t{1} << 46}, DType::u8, device);
    FAIL() << "an impossible allocation succeeded";
  } catch (const OutOfMemory& error) {
    EXPECT_NE(std::string(error.what()).find("in use"), std::string::npos);
  }
  EXPECT_EQ(device.memory().in_use, 1024u);
}

/// Each thread fills its tensors with a number of its own and finds it there later.
TEST(Allocator, ServesSeveralThreadsAtOnce) {
  for (const bool on_gpu : {false, true}) {
    if (on_gpu && Device::cuda_count() == 0) continue;
    const Device device = on_gpu ? Device::cuda(0).separate() : Device::cpu(1).separate();
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int own = 1; own <= 4; ++own) {
      threads.emplace_back([&wrong, device, own] {
        std::vector<Tensor> kept(8);
        for (std::int64_t turn = 0; turn < (device.is_cuda() ? 60 : 600); ++turn) {
          Tensor& place = kept[static_cast<std::size_t>(turn % 8)];
          if (place.defined() && place.to_vector<std::int32_t>().back() != own) ++wrong;
          const std::vector<std::int32_t> values(static_cast<std::size_t>(1 + turn * 37 % 900), own);
          place = Tensor::from(values, {static_cast<std::int64_t>(values.size())}, device);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(device.memory().in_use, 0u);
  }
}

TEST(Allocator, RefusesWhatTheMachineDoesNotHaveBeforeTouchingIt) {
  const Device device = Device::cpu().separate();
  for (const std::int64_t bytes : {std::int64_t{1} << 44, std::int64_t{1} << 47, (std::int64_t{1} << 47) - 1}) {
    EXPECT_THROW(Tensor({bytes}, DType::u8, device), OutOfMemory);
    EXPECT_THROW((void)Tensor::zeros({bytes}, DType::u8, device), OutOfMemory);
  }
  EXPECT_EQ(device.memory().allocations, 0u);
}

TEST(Device, HostIsBesideTheDevice) {
  const Device cpu = Device::cpu(2).separate();
  EXPECT_EQ(&cpu.host().context(), &cpu.context());
  EXPECT_EQ(cpu.separate(3).threads(), 3);
  EXPECT_THROW((void)cpu.separate(-1), ValueError);
  if (Device::cuda_count() == 0) return;
  const Device gpu = Device::cuda(0);
  EXPECT_FALSE(gpu.host().is_cuda());
  EXPECT_EQ(&gpu.host().context(), &gpu.host().context());
  EXPECT_NE(&gpu.host().context(), &Device::cpu().context());
}

struct Outer {
  explicit Outer(detail::Context& context) : inner(context.resource<Counter>()) {}
  ~Outer() { seen_at_end = inner.uses; }
  Counter& inner;
  static inline int seen_at_end = -1;
};

TEST(Context, ResourcesOutliveThoseMadeWithThem) {
  {
    const Device device = Device::cpu().separate();
    device.context().resource<Outer>();
    device.context().resource<Counter>().uses = 42;
  }
  EXPECT_EQ(Outer::seen_at_end, 42);
}

TEST(Context, MakesEachResourceOnce) {
  const Device device = Device::cpu().separate();
  const int before = Counter::made;
  ++device.context().resource<Counter>().uses;
  ++device.context().resource<Counter>().uses;
  EXPECT_EQ(device.context().resource<Counter>().uses, 2);
  EXPECT_EQ(Counter::made, before + 1);
}

}  // namespace
}  // namespace rtl
