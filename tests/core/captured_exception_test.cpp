#include "core/captured_exception.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace rtl {
namespace {

TEST(CapturedException, LeavesThreadsThatRunOn) {
  CapturedException fault;
  std::atomic<int> finished = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      fault.guard([&] {
        if (i % 2 == 1) throw std::out_of_range("odd");
      });
      ++finished;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(finished, 8);
  EXPECT_THROW(fault.rethrow(), std::out_of_range);
}

TEST(CapturedException, KeepsTheFirstOfSeveral) {
  CapturedException fault;
  fault.guard([] {});
  EXPECT_NO_THROW(fault.rethrow());
  fault.guard([] { throw std::out_of_range("first"); });
  fault.guard([] { throw std::runtime_error("second"); });
  EXPECT_THROW(fault.rethrow(), std::out_of_range);
}

}  // namespace
}  // namespace rtl
