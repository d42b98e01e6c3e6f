#include "rtl/optim/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/error.hpp"

namespace rtl::optim {
namespace {

TEST(Schedule, ConstantNeverChanges) {
  const Schedule schedule = Schedule::constant(0.3);
  EXPECT_EQ(schedule(0), 0.3);
  EXPECT_EQ(schedule(1'000'000), 0.3);
}

TEST(Schedule, StepFallsByTheFactorEveryPeriod) {
  const Schedule schedule = Schedule::step(0.8, 3, 0.5);
  const double expected[] = {0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2};
  for (int i = 0; i < 7; ++i) EXPECT_DOUBLE_EQ(schedule(i), expected[i]) << i;
  EXPECT_THROW(Schedule::step(1, 0), ValueError);
}

TEST(Schedule, CosineFallsFromBaseToMinimum) {
  const Schedule schedule = Schedule::cosine(1.0, 8, 0.2);
  EXPECT_DOUBLE_EQ(schedule(0), 1.0);
  EXPECT_DOUBLE_EQ(schedule(4), 0.6);
  EXPECT_NEAR(schedule(2), 0.6 + 0.4 * std::sqrt(0.5), 1e-15);
  EXPECT_DOUBLE_EQ(schedule(8), 0.2);
  EXPECT_DOUBLE_EQ(schedule(100), 0.2);
  for (int i = 0; i < 8; ++i) EXPECT_GT(schedule(i), schedule(i + 1));
  EXPECT_THROW(Schedule::cosine(1, 0), ValueError);
}

}  // namespace
}  // namespace rtl::optim
