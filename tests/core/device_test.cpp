#include "rtl/core/device.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

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
    const Tensor huge({std::int64_t{1} << 58}, DType::u8, device);
    FAIL() << "an impossible allocation succeeded";
  } catch (const OutOfMemory& error) {
    EXPECT_NE(std::string(error.what()).find("in use"), std::string::npos);
  }
  EXPECT_EQ(device.memory().in_use, 1024u);
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
