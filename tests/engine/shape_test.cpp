#include "engine/core/shape.h"

#include <gtest/gtest.h>

#include <vector>

namespace tessera {
namespace {

TEST(Shape, CountsAndCompares) {
  const Shape map{2, 3, 5, 7};
  EXPECT_EQ(map.rank(), 4);
  EXPECT_EQ(map.elements(), 210);
  EXPECT_EQ(map.back(), 7);
  EXPECT_EQ(map.to_string(), "[2x3x5x7]");
  EXPECT_EQ(map, Shape(std::vector<int64_t>{2, 3, 5, 7}));
  EXPECT_NE(map, (Shape{2, 3, 35}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
}

TEST(Shape, ScalarsAndEmptyExtents) {
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ(Shape{}.to_string(), "[]");
  EXPECT_EQ((Shape{4, 0, 3}).elements(), 0);
}

TEST(Shape, RefusesWhatItCannotHold) {
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1}), Error);
  EXPECT_THROW((Shape{2, -1}), Error);
  EXPECT_THROW((Shape{2, 3})[2], Error);
  EXPECT_THROW((Shape{2, 3})[-1], Error);
  EXPECT_THROW(Shape{}.back(), Error);
}

}  // namespace
}  // namespace tessera
