#include "rtl/io/hash.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rtl/core/random.hpp"

namespace rtl::io {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Hash64, HasThePublishedValues) {
  EXPECT_EQ(hash64(bytes_of("")), 0xef46db3751d8e999u);
  EXPECT_EQ(hash64(bytes_of("a")), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(hash64(bytes_of("abc")), 0x44bc2cf5ad770999u);
  EXPECT_EQ(hash64(bytes_of("Nobody inspects the spammish repetition")), 0xfbcea83c8a378bf1u);
  EXPECT_EQ(hash64(bytes_of(""), 0x9e3779b1u), 0xac75fda2929b17efu);
}

TEST(Hash64, DoesNotDependOnHowTheBytesAreSplit) {
  RandomSequence random(7);
  std::vector<std::byte> bytes(1025);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.bits());
  const std::uint64_t whole = hash64(bytes, 5);
  for (int trial = 0; trial < 50; ++trial) {
    Hash64 hash(5);
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const std::size_t taken = std::min<std::size_t>(rest.size(), random.below(80));
      hash.add(rest.first(taken));
      rest = rest.subspan(taken);
      (void)hash.value();
    }
    ASSERT_EQ(hash.value(), whole);
  }
}

TEST(Hash64, ChangesWithEveryBitLengthAndSeed) {
  for (const std::size_t size : {1u, 31u, 32u, 33u, 100u}) {
    std::vector<std::byte> bytes(size);
    const std::uint64_t before = hash64(bytes);
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      EXPECT_NE(hash64(bytes), before);
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
    bytes.push_back({});
    EXPECT_NE(hash64(bytes), before);
    EXPECT_NE(hash64(bytes, 1), hash64(bytes));
  }
}

TEST(Hash64, TextsDoNotRunIntoEachOther) {
  EXPECT_NE(Hash64().add("ab").add("c").value(), Hash64().add("a").add("bc").value());
  EXPECT_EQ(Hash64().add(std::uint64_t{3}).add(bytes_of("abc")).value(), Hash64().add("abc").value());
}

TEST(Hash64, HexHasSixteenDigits) { EXPECT_EQ(to_hex(0xabcu), "0000000000000abc"); }

}  // namespace
}  // namespace rtl::io
