#include "rtl/core/shape.hpp"

#include <gtest/gtest.h>

#include "rtl/core/error.hpp"

namespace rtl {
namespace {

TEST(Shape, CountsAndIndexes) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.count(), 30);
  EXPECT_EQ(shape[-1], 5);
  EXPECT_EQ(shape.with(1, 7), (Shape{2, 7, 5}));
  EXPECT_EQ(shape.to_string(), "[2, 3, 5]");
  EXPECT_EQ(Shape().count(), 1);
}

TEST(Shape, RejectsWhatItCannotHold) {
  EXPECT_THROW(Shape({1, -1}), ShapeError);
  EXPECT_THROW(Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  EXPECT_THROW(Shape({std::int64_t{1} << 40, std::int64_t{1} << 40}), ShapeError);
  EXPECT_THROW((void)Shape({2})[1], ShapeError);
}

}  // namespace
}  // namespace rtl
