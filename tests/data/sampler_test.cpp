#include "rtl/data/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

TEST(BatchSampler, VisitsEachRowOnceAndKeepsThePartialBatch) {
  for (const std::int64_t size : {1, 31, 64, 65, 1025}) {
    BatchSampler sampler(size, 32, 5);
    ASSERT_EQ(sampler.batches(), (size + 31) / 32);
    std::vector<std::int64_t> visited;
    for (std::int64_t i = 0; i < sampler.batches(); ++i) {
      const auto batch = sampler.batch(i);
      EXPECT_EQ(batch.size(), static_cast<std::size_t>(i + 1 < sampler.batches() ? 32 : (size - 1) % 32 + 1));
      visited.insert(visited.end(), batch.begin(), batch.end());
    }
    EXPECT_TRUE(std::equal(visited.begin(), visited.end(), sampler.order().begin(), sampler.order().end()));
    std::sort(visited.begin(), visited.end());
    std::vector<std::int64_t> expected(static_cast<std::size_t>(size));
    std::iota(expected.begin(), expected.end(), std::int64_t{0});
    EXPECT_EQ(visited, expected);
  }
}

TEST(BatchSampler, OrderIsAFunctionOfSeedAndEpoch) {
  BatchSampler first(100, 7, 5), second(100, 7, 5);
  const std::vector<std::int64_t> epoch_0(first.order().begin(), first.order().end());
  first.start_epoch(1);
  first.start_epoch(2);
  const std::vector<std::int64_t> epoch_2(first.order().begin(), first.order().end());
  second.start_epoch(2);
  EXPECT_TRUE(std::equal(epoch_2.begin(), epoch_2.end(), second.order().begin()));
  EXPECT_NE(epoch_0, epoch_2);
  second.start_epoch(0);
  EXPECT_EQ(second.epoch(), 0);
  EXPECT_TRUE(std::equal(epoch_0.begin(), epoch_0.end(), second.order().begin()));
  const BatchSampler other(100, 7, 6);
  EXPECT_FALSE(std::equal(epoch_0.begin(), epoch_0.end(), other.order().begin()));
}

TEST(BatchSampler, KeepsTheOrderOfTheDataOnRequest) {
  BatchSampler sampler(10, 4, 5, false);
  sampler.start_epoch(3);
  EXPECT_TRUE(std::is_sorted(sampler.order().begin(), sampler.order().end()));
}

TEST(BatchSampler, ARestThatIsTooSmallJoinsTheBatchBefore) {
  for (const std::int64_t smallest : {1, 2, 3, 9}) {
    for (const std::int64_t size : {1, 2, 7, 8, 9, 10, 15, 16, 17, 41}) {
      BatchSampler sampler(size, 8, 5, true, smallest);
      std::vector<std::int64_t> visited;
      for (std::int64_t i = 0; i < sampler.batches(); ++i) {
        const auto batch = sampler.batch(i);
        EXPECT_GE(static_cast<std::int64_t>(batch.size()), std::min({smallest, size, std::int64_t{8}}));
        EXPECT_LT(static_cast<std::int64_t>(batch.size()), 8 + smallest);
        visited.insert(visited.end(), batch.begin(), batch.end());
      }
      EXPECT_TRUE(std::equal(visited.begin(), visited.end(), sampler.order().begin(), sampler.order().end()));
    }
  }
  EXPECT_EQ(BatchSampler(65, 32, 5, true, 2).batches(), 2);
  EXPECT_EQ(BatchSampler(66, 32, 5, true, 2).batches(), 3);
  EXPECT_EQ(BatchSampler(5, 1, 5, true, 2).batches(), 5) << "batches of one were asked for";
}

TEST(BatchSampler, RefusesWhatIsNoBatch) {
  EXPECT_THROW(BatchSampler(4, 2, 5, true, 0), ValueError);
  EXPECT_THROW(BatchSampler(0, 4, 5), ValueError);
  EXPECT_THROW(BatchSampler(4, 0, 5), ValueError);
  BatchSampler sampler(10, 4, 5);
  EXPECT_THROW((void)sampler.batch(3), ValueError);
  EXPECT_THROW((void)sampler.batch(-1), ValueError);
  EXPECT_THROW(sampler.start_epoch(-1), ValueError);
}

}  // namespace
}  // namespace rtl::data
