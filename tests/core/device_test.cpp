#include "rtl/core/device.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "rtl/core/random.hpp"
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
  EXPECT_EQ(Device::cpu(4096).threads(), 4096);
  EXPECT_THROW((void)Device::cpu(4097), ValueError);
  EXPECT_THROW((void)first.separate(4097), ValueError);
}

TEST(Device, SeparatesWithAnotherNumberOfThreads) {
  const Device one = Device::cpu(3).separate(1);
  EXPECT_EQ(one.threads(), 1);
  EXPECT_EQ(one.separate().threads(), 1);
  EXPECT_EQ(one.separate(0).threads(), Device::cpu().threads());
  EXPECT_NE(&one.context(), &one.separate().context());
  EXPECT_THROW((void)one.separate(-1), ValueError);
}

TEST(Device, HasAHostBesideIt) {
  const Device host = Device::cpu(2);
  EXPECT_EQ(&host.host().context(), &host.context());
  if (Device::cuda_count() == 0) GTEST_SKIP() << "no CUDA device: a host device is its own host";
  const Device cuda = Device::cuda(0);
  EXPECT_FALSE(cuda.host().is_cuda());
  EXPECT_EQ(&cuda.host().context(), &cuda.host().context());
  EXPECT_NE(&cuda.host().context(), &cuda.separate().host().context());
  EXPECT_NE(&cuda.host().context(), &Device::cpu().context());
  EXPECT_EQ(cuda.separate(3).threads(), 1);
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

TEST(Allocator, HighWaterMarkRestartsFromWhatIsInUse) {
  const Device device = Device::cpu().separate();
  const Tensor kept({1000}, DType::f32, device);
  { const Tensor large({100000}, DType::f32, device); }
  device.restart_high_water();
  EXPECT_EQ(device.memory().high_water, device.memory().in_use);
  EXPECT_GE(device.memory().high_water, 4000U);
  EXPECT_LT(device.memory().high_water, 400000U);
}

TEST(Allocator, SplitsLargeBlocksAndJoinsThemAgain) {
  const Device device = Device::cpu().separate();
  constexpr std::int64_t mebibyte = 1 << 20;
  const auto block = [&](std::int64_t bytes) { return Tensor({bytes}, DType::u8, device); };
  { const Tensor whole = block(16 * mebibyte); }
  {
    const Tensor a = block(5 * mebibyte), b = block(3 * mebibyte), c = block(7 * mebibyte);
    EXPECT_EQ(device.memory().allocations, 1u) << "the parts must come from the block";
    EXPECT_EQ(device.memory().in_use + device.memory().cached, std::size_t{16} * mebibyte);
    const auto place = [](const Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.view().data()); };
    EXPECT_EQ(place(a) % 64, 0u);
    const std::vector<std::pair<std::uintptr_t, std::uintptr_t>> ranges = {
        {place(a), place(a) + a.bytes()}, {place(b), place(b) + b.bytes()}, {place(c), place(c) + c.bytes()}};
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        EXPECT_TRUE(ranges[i].second <= ranges[j].first || ranges[j].second <= ranges[i].first) << i << " and " << j;
      }
    }
  }
  { const Tensor whole = block(16 * mebibyte); }
  EXPECT_EQ(device.memory().allocations, 1u) << "the parts must be joined";
  device.trim();
  EXPECT_EQ(device.memory().cached, 0u);
}

TEST(Allocator, KeepsPartsOfBlocksInUseWhenTrimmed) {
  const Device device = Device::cpu().separate();
  { const Tensor whole({std::int64_t{8} << 20}, DType::u8, device); }
  Tensor part = Tensor::zeros({std::int64_t{1} << 20}, DType::u8, device);
  device.trim();
  EXPECT_EQ(device.memory().cached, std::size_t{7} << 20);
  const Tensor copy = part.clone();
  EXPECT_EQ(copy.to_vector<std::uint8_t>(), part.to_vector<std::uint8_t>());
  part = Tensor();
}

TEST(Allocator, HoldsNoSumOfASequenceOfSizes) {
  const Device device = Device::cpu().separate();
  std::size_t largest = 0;
  for (std::int64_t kibibytes = 300; kibibytes < 3000; kibibytes += 100) {
    const Tensor growing({kibibytes << 10}, DType::u8, device);
    largest = static_cast<std::size_t>(kibibytes) << 10;
  }
  EXPECT_LE(device.memory().cached, 2 * largest);
  const std::size_t allocations = device.memory().allocations;
  for (std::int64_t kibibytes = 2900; kibibytes > 100; kibibytes -= 100) {
    const Tensor shrinking({kibibytes << 10}, DType::u8, device);
  }
  EXPECT_EQ(device.memory().allocations, allocations);
  EXPECT_LE(device.memory().cached, 2 * largest);
}

TEST(Allocator, SmallRequestsTakeNoLargeBlocks) {
  const Device device = Device::cpu().separate();
  { const Tensor large({std::int64_t{1} << 20}, DType::u8, device); }
  const Tensor small({100}, DType::u8, device);
  EXPECT_EQ(device.memory().in_use, 512u);
  EXPECT_EQ(device.memory().requests, 2u);
}

TEST(Allocator, ReportsExhaustionWithItsFigures) {
  const Device device = Device::cpu().separate();
  const Tensor some({1024}, DType::u8, device);
  try {
    const Tensor huge({std::int64_t{1} << 45}, DType::u8, device);
    FAIL() << "an impossible allocation succeeded";
  } catch (const OutOfMemory& error) {
    EXPECT_NE(std::string(error.what()).find("in use"), std::string::npos);
  }
  EXPECT_EQ(device.memory().in_use, 1024u);
}

TEST(Allocator, RefusesWhatTheMachineDoesNotHaveBeforeTouchingIt) {
  const Device device = Device::cpu().separate();
  // 4 TiB can be addressed; the sizes beyond would wrap.
  for (const int bits : {42, 47, 58, 61, 62}) {
    const std::int64_t count = std::int64_t{1} << bits;
    try {
      const Tensor huge({count}, DType::f64, device);
      ADD_FAILURE() << "2^" << bits << " doubles were had";
    } catch (const OutOfMemory& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("f64 [" + std::to_string(count) + "]"), std::string::npos) << text;
    }
  }
  EXPECT_THROW((void)Tensor::zeros({1 << 20, 1 << 20, 1 << 20}, DType::u8, device), OutOfMemory);
  EXPECT_EQ(device.memory().allocations, 0u);
  EXPECT_EQ(device.memory().in_use, 0u);
}

TEST(Allocator, ServesSeveralThreads) {
  const Device device = Device::cpu(1).separate();
  constexpr int threads = 4;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> pool;
  for (int thread = 0; thread < threads; ++thread) {
    pool.emplace_back([&, thread] {
      RandomSequence random(17, static_cast<std::uint64_t>(thread));
      std::vector<Tensor> held;
      for (int step = 0; step < 2000; ++step) {
        if (held.size() > 20 || (!held.empty() && random.below(2) == 0)) {
          const auto at = static_cast<std::size_t>(random.below(held.size()));
          for (const std::int32_t value : held[at].to_vector<std::int32_t>()) wrong += value != thread;
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
        } else {
          const auto count = static_cast<std::size_t>(random.below(random.below(4) == 0 ? 300000 : 3000));
          const std::vector<std::int32_t> values(count, thread);
          held.push_back(Tensor::from(values, {static_cast<std::int64_t>(count)}, device));
        }
        if (step % 500 == 0) device.trim();
        (void)device.memory().to_string();
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(device.memory().in_use, 0u);
}

struct Slow {
  explicit Slow(detail::Context& context) : counter(context.resource<Counter>()) {
    std::this_thread::yield();
    ++made;
  }
  Counter& counter;
  static inline std::atomic<int> made = 0;
};

TEST(Context, ThreadsThatAskAtOnceGetOneResource) {
  const Device device = Device::cpu(1).separate();
  const int before = Slow::made;
  std::vector<std::thread> pool;
  std::vector<Slow*> found(8, nullptr);
  for (Slow*& place : found) pool.emplace_back([&] { place = &device.context().resource<Slow>(); });
  for (std::thread& thread : pool) thread.join();
  EXPECT_EQ(Slow::made, before + 1);
  for (const Slow* place : found) EXPECT_EQ(place, found.front());
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
