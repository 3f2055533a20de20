#include "kernels/cpu/grid_axis.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/core/rng.h"
#include "tests/reference/grid_cells.h"

namespace tessera {
namespace {

TEST(GridAxis, PointsOfTheSpecification) {
  EXPECT_EQ(reference::axis_cell(10.0, 10, 40, 3), 0);
  EXPECT_EQ(reference::axis_cell(19.9, 10, 40, 3), 0);
  EXPECT_EQ(reference::axis_cell(20.0, 10, 40, 3), 1);
  EXPECT_EQ(reference::axis_cell(39.99, 10, 40, 3), 2);
  EXPECT_EQ(reference::axis_cell(40.0, 10, 40, 3), -1);
  EXPECT_EQ(reference::axis_cell(9.99, 10, 40, 3), -1);
}

// Positions 0 ... extent - 1: each lies in the run of the cell that the definition gives, or in none.
void expect_runs(double low, double high, double stride, int extent, int k) {
  GridAxis axis;
  axis.assign(low, high, stride, extent, k);
  ASSERT_EQ(axis.begin.size(), static_cast<size_t>(k) + 1);
  for (int position = 0; position < extent; ++position) {
    int cell = -1, found = 0;
    for (int i = 0; i < k; ++i) {
      if (position < axis.begin[static_cast<size_t>(i)] || position >= axis.begin[static_cast<size_t>(i) + 1]) continue;
      cell = i;
      ++found;
    }
    ASSERT_LE(found, 1);
    ASSERT_EQ(cell, reference::axis_cell((position + 0.5) * stride, low, high, k))
        << "[" << low << ", " << high << ") stride " << stride << " k " << k << " position " << position;
  }
}

TEST(GridAxis, EveryPositionIsInTheCellOfTheDefinition) {
  Rng rng(9, RandomPurpose::test, 3);
  for (const double stride : {1.0, 2.0, 4.0, 8.0}) {
    for (int k = 1; k <= 5; ++k) {
      expect_runs(10, 40, stride, 60, k);
      expect_runs(0, 60 * stride, stride, 60, k);
      expect_runs(-7, 1000, stride, 60, k);
      expect_runs(20, 20.25, stride, 60, k);
      for (int i = 0; i < 100; ++i) {
        const float low = rng.uniform(-5, 55 * static_cast<float>(stride));
        expect_runs(low, low + rng.uniform(0, 40 * static_cast<float>(stride)), stride, 60, k);
        // Multiples of half a stride: edges of cells fall on centres.
        const double edge = stride / 2 * rng.below(80);
        expect_runs(edge, edge + stride / 2 * (1 + rng.below(40)), stride, 60, k);
      }
    }
  }
}

TEST(GridAxis, DegenerateBoxes) {
  GridAxis axis;
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const auto& [low, high] :
       {std::pair{5.0, 5.0}, {6.0, 5.0}, {nan, 9.0}, {1.0, nan}, {70.0, 90.0}, {-9.0, -1.0}}) {
    axis.assign(low, high, 1, 60, 3);
    EXPECT_EQ(axis.size(), 0) << low << " " << high;
    EXPECT_EQ(axis.occupied(), 0);
  }
  axis.assign(-infinity, infinity, 1, 60, 3);
  EXPECT_EQ(axis.size(), 60);
  axis.assign(10, 12, 1, 60, 3);
  EXPECT_EQ(axis.occupied(), 2);
}

}  // namespace
}  // namespace tessera
