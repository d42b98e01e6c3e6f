#include "rtl/data/split.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

std::vector<std::int64_t> sorted(std::vector<std::int64_t> rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<std::int64_t> all_rows(std::int64_t size) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(size));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

std::vector<std::int64_t> joined(const Split& split) {
  std::vector<std::int64_t> rows = split.first;
  rows.insert(rows.end(), split.second.begin(), split.second.end());
  return sorted(rows);
}

TEST(RandomSubset, HasDifferentRowsAndIsAPrefixOfLargerOnes) {
  for (const std::int64_t size : {1, 31, 33, 1025}) {
    const std::vector<std::int64_t> whole = random_subset(size, size, 3);
    EXPECT_EQ(sorted(whole), all_rows(size));
    const std::vector<std::int64_t> part = random_subset(size, size / 2, 3);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin()));
    EXPECT_EQ(random_subset(size, size, 3), whole);
  }
  EXPECT_NE(random_subset(1025, 100, 3), random_subset(1025, 100, 4));
  EXPECT_TRUE(random_subset(0, 0, 3).empty());
  EXPECT_THROW(random_subset(10, 11, 3), ValueError);
  EXPECT_THROW(random_subset(10, -1, 3), ValueError);
}

TEST(RandomSubset, ChoosesEveryRowEquallyOften) {
  // 20000 draws of 3 from 10: each row is expected 6000 times, with a standard deviation of 65.
  std::vector<int> counts(10);
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    for (const std::int64_t row : random_subset(10, 3, seed)) ++counts[static_cast<std::size_t>(row)];
  }
  for (const int count : counts) EXPECT_NEAR(count, 6000, 5 * 65);
}

TEST(RandomSplit, PartsAllRows) {
  for (const double fraction : {0.0, 0.25, 1.0}) {
    const Split split = random_split(101, fraction, 9);
    EXPECT_EQ(joined(split), all_rows(101));
    EXPECT_EQ(split.second.size(), static_cast<std::size_t>(101 * fraction + 0.5));
  }
  EXPECT_THROW(random_split(10, 1.1, 0), ValueError);
  EXPECT_THROW(random_split(10, -0.1, 0), ValueError);
  EXPECT_THROW(random_split(-1, 0.5, 0), ValueError);
}

TEST(StratifiedSplit, KeepsTheShareOfEveryClass) {
  std::vector<std::int32_t> labels;
  const std::map<std::int32_t, int> sizes = {{0, 100}, {1, 40}, {2, 3}, {3, 1}};
  for (const auto& [label, size] : sizes) labels.insert(labels.end(), static_cast<std::size_t>(size), label);
  const Split split = stratified_split(labels, 5, 0.2, 4);
  EXPECT_EQ(joined(split), all_rows(144));
  std::map<std::int32_t, int> counts;
  for (const std::int64_t row : split.second) ++counts[labels[static_cast<std::size_t>(row)]];
  EXPECT_EQ(counts, (std::map<std::int32_t, int>{{0, 20}, {1, 8}, {2, 1}}));
  EXPECT_FALSE(std::is_sorted(split.first.begin(), split.first.end()));
  EXPECT_EQ(stratified_split(labels, 5, 0.2, 4).second, split.second);
  EXPECT_NE(stratified_split(labels, 5, 0.2, 5).second, split.second);
  EXPECT_THROW(stratified_split(labels, 3, 0.2, 4), ValueError);
  EXPECT_THROW(stratified_split(labels, 5, 2, 4), ValueError);
}

TEST(BalancedSubset, TakesEquallyManyOfEveryClass) {
  const std::vector<std::int32_t> labels = {0, 0, 0, 1, 1, 1, 1, 2, 2};
  std::map<std::int32_t, int> counts;
  const std::vector<std::int64_t> rows = balanced_subset(labels, 3, 2, 1);
  for (const std::int64_t row : rows) ++counts[labels[static_cast<std::size_t>(row)]];
  EXPECT_EQ(counts, (std::map<std::int32_t, int>{{0, 2}, {1, 2}, {2, 2}}));
  EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), 6u);
  EXPECT_THROW(balanced_subset(labels, 3, 3, 1), ValueError);
  EXPECT_THROW(balanced_subset(labels, 2, 1, 1), ValueError);
}

}  // namespace
}  // namespace rtl::data
