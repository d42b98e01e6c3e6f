#include "core/upload.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "support/devices.hpp"

namespace rtl {
namespace {

std::vector<std::uint8_t> random_bytes(std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  std::uint32_t state = static_cast<std::uint32_t>(count) + 7;
  for (auto& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

/// What arrives of `bytes` in pieces of which each begins at a multiple of `granule`.
std::vector<std::uint8_t> uploaded(const Device& device, const std::vector<std::uint8_t>& bytes, std::size_t granule) {
  Tensor there({static_cast<std::int64_t>(bytes.size())}, DType::u8, device);
  std::size_t done = 0;
  detail::upload(device, there.view().data(), bytes.size(), granule,
                 [&](std::byte* to, std::size_t begin, std::size_t count) {
                   EXPECT_EQ(begin, done);
                   EXPECT_EQ(begin % granule, 0U);
                   std::memcpy(to, bytes.data() + begin, count);
                   done += count;
                 });
  EXPECT_EQ(done, bytes.size());
  return there.to_vector<std::uint8_t>();
}

TEST(Upload, BringsAllBytesInPiecesOfWholeGranules) {
  constexpr std::size_t piece = std::size_t{4} << 20;
  for (const Device& device : test::devices()) {
    for (const std::size_t count : {std::size_t{1}, piece - 1, piece, piece + 1, 3 * piece + 12345}) {
      const std::vector<std::uint8_t> bytes = random_bytes(count);
      for (const std::size_t granule : {std::size_t{1}, std::size_t{4 * 1001}, piece + 3})
        EXPECT_EQ(uploaded(device, bytes, granule), bytes) << device.name() << ", " << count << " bytes by " << granule;
    }
    EXPECT_TRUE(uploaded(device, {}, 4).empty());
  }
}

TEST(Upload, OfTwoThreadsDoNotMix) {
  for (const Device& device : test::devices()) {
    std::vector<std::thread> threads;
    for (const std::size_t count : {9000001, 9000002}) {
      threads.emplace_back([&device, count] {
        const std::vector<std::uint8_t> bytes = random_bytes(count);
        EXPECT_EQ(uploaded(device, bytes, 3), bytes);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(Upload, GoesOnAfterAPieceThatFailed) {
  for (const Device& device : test::devices()) {
    Tensor there({9000000}, DType::u8, device);
    EXPECT_THROW(detail::upload(device, there.view().data(), there.view().bytes(), 1,
                                [](std::byte*, std::size_t begin, std::size_t count) {
                                  if (begin + count > 8000000) throw std::runtime_error("no more");
                                }),
                 std::runtime_error);
    const std::vector<std::uint8_t> bytes = random_bytes(9000000);
    EXPECT_EQ(uploaded(device, bytes, 1), bytes);
  }
}

}  // namespace
}  // namespace rtl
