// Occupancies that the tables of the CUDA programming guide give by hand. Builds without a toolkit have no calculator.
#include "kernels/occupancy.h"

#include <gtest/gtest.h>

#include "engine/core/dispatch.h"

#if TESSERA_CUDA

namespace tessera {
namespace {

TEST(Occupancy, ByHandOnCapability86) {
  // 48 warps, 65,536 registers in units of 256 a warp, 100 KiB of shared memory of which a block reserves 1 KiB.
  EXPECT_EQ(predict_occupancy({"small", 32, 0, 128}).blocks, 12);
  EXPECT_EQ(predict_occupancy({"small", 32, 0, 128}).warps, 1.0);
  EXPECT_EQ(predict_occupancy({"registers", 128, 0, 256}).blocks, 2);  // 128 * 256 = half of the registers
  EXPECT_EQ(predict_occupancy({"registers", 128, 0, 256}).limit, "registers");
  EXPECT_EQ(predict_occupancy({"shared", 32, 49 * 1024, 128}).blocks, 2);
  EXPECT_EQ(predict_occupancy({"shared", 32, 49 * 1024 + 1, 128}).blocks, 1);
  EXPECT_EQ(predict_occupancy({"shared", 32, 49 * 1024, 128}).limit, "shared memory");
  EXPECT_EQ(predict_occupancy({"blocks", 16, 0, 32}).blocks, 16);
  EXPECT_EQ(predict_occupancy({"blocks", 16, 0, 32}).limit, "blocks");
}

TEST(Occupancy, EveryKernelOfTheTableFits) {
  const std::vector<KernelOccupancy> occupancies = predict_occupancies();
  EXPECT_GT(occupancies.size(), 10u);
  for (const KernelOccupancy& row : occupancies) EXPECT_GE(row.blocks, 1) << row.resources.kernel;
}

}  // namespace
}  // namespace tessera

#endif
