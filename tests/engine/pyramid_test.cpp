#include "engine/core/pyramid.h"

#include <gtest/gtest.h>

#include <numeric>

namespace tessera {
namespace {

TEST(PyramidGeometry, RowsGoByLevelThenImageThenPixel) {
  PyramidGeometry geometry(3);
  geometry.add_level(4, 6, 8);
  geometry.add_level(2, 3, 16);
  EXPECT_EQ(geometry.cells(), 30);
  EXPECT_EQ(geometry.rows(), 90);
  EXPECT_EQ(geometry.level(1).row_begin, 72);
  int64_t expected = 0;
  for (int64_t level = 0; level < 2; ++level) {
    for (int64_t image = 0; image < 3; ++image) {
      for (int64_t y = 0; y < geometry.level(level).height; ++y) {
        for (int64_t x = 0; x < geometry.level(level).width; ++x) {
          EXPECT_EQ(geometry.row(level, image, y, x), expected++);
        }
      }
    }
  }
}

TEST(PyramidGeometry, LocationsOfTheFiveLevelsAt800) {
  PyramidGeometry geometry(1);
  for (const int64_t side : {100, 50, 25, 13, 7}) geometry.add_level(side, side, 800 / side);
  EXPECT_EQ(geometry.rows(), 13'343);  // specification, section 0
}

TEST(PyramidGeometry, ALevelIsAMap) {
  CpuContext context(1);
  PyramidGeometry geometry(2);
  geometry.add_level(1, 2, 8);
  geometry.add_level(1, 1, 16);
  std::vector<float> values(18);
  std::iota(values.begin(), values.end(), 0.0f);
  const Tensor rows = Tensor::from_host<float>(context, {6, 3}, values);
  const Tensor top = geometry.level_view(rows, 1);
  EXPECT_EQ(top.shape(), (Shape{2, 1, 1, 3}));
  EXPECT_EQ(top.to_host<float>(context), (std::vector<float>{12, 13, 14, 15, 16, 17}));
  EXPECT_THROW(geometry.level_view(rows, 2), Error);
  EXPECT_THROW(geometry.level_view(rows.slice(0, 5), 0), Error);
}

}  // namespace
}  // namespace tessera
