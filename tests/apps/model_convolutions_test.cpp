#include "apps/model_convolutions.h"

#include <gtest/gtest.h>

#include <set>

#include "apps/model_file.h"

namespace tessera {
namespace {

std::set<std::string> shapes_of(const char* config) {
  std::set<std::string> names;
  const std::vector<BenchShape> shapes = model_convolutions(read_model_config(config), 1, 800, 1344);
  for (const BenchShape& shape : shapes) names.insert(describe(shape));
  EXPECT_EQ(names.size(), shapes.size()) << "each shape once";
  return names;
}

// What the figures of the design are about: the towers on all levels, the backbone, the stem, predictors.
TEST(ModelConvolutions, AreAllOfTheDetectorsSingleMaps) {
  const std::vector<BenchShape> shapes =
      model_convolutions(read_model_config("configs/gridmask_fcos_r50_1x.json"), 1, 800, 1344);
  EXPECT_EQ(describe(shapes.front()), "1x100x168 256->256 3x3");  // two fifths of all multiply-adds
  const std::set<std::string> names = shapes_of("configs/gridmask_fcos_r50_1x.json");
  EXPECT_GE(names.size(), 50u);
  for (const char* name : {"1x7x11 256->256 3x3", "1x800x1344 3->64 7x7 stride 2", "1x25x42 2048->512 1x1",
                           "1x100x168 256->4 3x3", "1x100x168 256->80 3x3"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(ModelConvolutions, KeepStridesAndGroups) {
  const std::set<std::string> names = shapes_of("configs/gridmask_fcos_x101_32x8d_1x.json");
  EXPECT_TRUE(names.contains("1x200x336 256->256 3x3 groups 32"));
  EXPECT_TRUE(names.contains("1x100x168 1024->1024 3x3 stride 2 groups 32"));
}

}  // namespace
}  // namespace tessera
