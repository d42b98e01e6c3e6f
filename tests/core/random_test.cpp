#include "rtl/core/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "rtl/core/error.hpp"

namespace rtl {
namespace {

void expect_block(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, std::vector<std::uint32_t> words) {
  const PhiloxBlock block = Philox(seed, stream).block(index);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(block.word[i], words[i]) << i;
}

// Published known answers of Philox 4x32-10 (Salmon et al. 2011); counter words 0-1 are the index, 2-3 the stream.
TEST(Philox, GivesThePublishedKnownAnswers) {
  expect_block(0, 0, 0, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  expect_block(~0ull, ~0ull, ~0ull, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  expect_block(0x299f31d0a4093822ull, 0x0370734413198a2eull, 0x85a308d3243f6a88ull,
               {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST(Philox, UniformsHaveTheRightRangeAndMoments) {
  const Philox philox(7, 11);
  double sum = 0, squares = 0, sum_double = 0;
  constexpr int count = 100000;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double value = philox.uniform(i);
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
    squares += value * value;
    const double fine = philox.uniform_double(i);
    ASSERT_GE(fine, 0.0);
    ASSERT_LT(fine, 1.0);
    sum_double += fine;
  }
  const double deviation = std::sqrt(1.0 / 12 / count);
  EXPECT_NEAR(sum / count, 0.5, 5 * deviation);
  EXPECT_NEAR(sum_double / count, 0.5, 5 * deviation);
  EXPECT_NEAR(squares / count, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / count));
}

TEST(RandomSequence, PermutationHoldsEveryNumberOnceAndIsReproducible) {
  RandomSequence first(3, 5), second(3, 5), other(3, 6);
  const auto order = first.permutation(1025);
  EXPECT_EQ(order, second.permutation(1025));
  EXPECT_NE(order, other.permutation(1025));
  const std::set<std::int64_t> seen(order.begin(), order.end());
  EXPECT_EQ(seen.size(), 1025u);
  EXPECT_EQ(*seen.begin(), 0);
  EXPECT_EQ(*seen.rbegin(), 1024);
  EXPECT_TRUE(first.permutation(0).empty());
  EXPECT_THROW(first.permutation(-1), ValueError);
}

TEST(RandomSequence, BelowIsUniform) {
  RandomSequence sequence(1);
  std::array<int, 7> counts{};
  constexpr int draws = 70000;
  for (int i = 0; i < draws; ++i) ++counts.at(sequence.below(7));
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - draws / 7.0) * (count - draws / 7.0) / (draws / 7.0);
  EXPECT_LT(chi_square, 22.46);  // 0.1 % point of chi-square with six degrees of freedom
  EXPECT_THROW(sequence.below(0), ValueError);
}

TEST(RandomSequence, NormalHasMeanZeroAndVarianceOne) {
  RandomSequence sequence(9);
  double sum = 0, squares = 0;
  constexpr int count = 100000;
  for (int i = 0; i < count; ++i) {
    const double value = sequence.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / count, 0.0, 5 / std::sqrt(count));
  EXPECT_NEAR(squares / count, 1.0, 5 * std::sqrt(2.0 / count));
}

}  // namespace
}  // namespace rtl
