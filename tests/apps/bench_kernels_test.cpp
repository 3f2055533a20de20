#include "apps/bench_kernels.h"

#include <gtest/gtest.h>

#include <set>

namespace tessera {
namespace {

// tools/gpu_check_torch.py measures the same names; sizes of a small picture, so that it runs anywhere.
TEST(BenchKernels, EveryOperationRunsOnSmallPictures) {
  CpuContext context(1);
  std::set<std::string> names;
  for (const KernelBench& row : bench_kernels(context, {.height = 64, .width = 64, .seconds = 0})) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_GT(row.forward.median, 0) << row.name;
    const bool differentiable =
        row.name != "tower layer" && row.name != "post-processing" && !row.name.starts_with("nms");
    EXPECT_EQ(row.training.median > 0, differentiable) << row.name;
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"linear", "conv affine relu", "conv affine residual relu", "tower layer",
                                   "group_norm relu", "axial_attention columns", "axial_attention rows",
                                   "multi_head_attention", "resize_bilinear", "sigmoid_focal_loss",
                                   "binary_cross_entropy", "dice_loss", "nms 1000", "nms 5000", "post-processing"}));
}

TEST(BenchKernels, FilterChooses) {
  EmulatedContext context;
  const std::vector<KernelBench> rows = bench_kernels(context, {.filter = "dice", .height = 64, .width = 64});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows.front().name, "dice_loss");
}

}  // namespace
}  // namespace tessera
