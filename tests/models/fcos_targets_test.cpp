// Target assignment of FCOS against hand cases and against the definition written out cell by cell and object by
// object.
#include "models/fcos/targets.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/core/rng.h"

namespace tessera {
namespace {

PyramidGeometry geometry_of(int64_t images, int64_t height, int64_t width, int first_level = 3) {
  PyramidGeometry geometry(images);
  for (int level = 0; level < 5; ++level) {
    const int64_t stride = int64_t{1} << (first_level + level);
    geometry.add_level((height + stride - 1) / stride, (width + stride - 1) / stride, stride);
  }
  return geometry;
}

ImageTargets targets_of(std::vector<ObjectTarget> objects) {
  ImageTargets targets;
  targets.objects = std::move(objects);
  return targets;
}

ObjectTarget object(const Box& box, int label) { return {box, label, {}}; }

FcosTargets assign(const PyramidGeometry& geometry, int64_t height, int64_t width,
                   const std::vector<ImageTargets>& images, const FcosConfig& config) {
  return assign_fcos_targets(geometry, level_grids(geometry, height, width, config), images, config);
}

// Section 2.2 word for word: owner of one location or -1.
int owner_by_definition(const std::vector<ObjectTarget>& objects, float x, float y, float stride, float low, float high,
                        const FcosConfig& config) {
  int best = -1;
  float best_area = 0;
  for (size_t g = 0; g < objects.size(); ++g) {
    const Box& box = objects[g].box;
    if (box.empty()) continue;
    const float l = x - box.x1, t = y - box.y1, r = box.x2 - x, b = box.y2 - y;
    Box region = box;
    if (config.center_radius > 0) {
      const float cx = (box.x1 + box.x2) / 2, cy = (box.y1 + box.y2) / 2, radius = config.center_radius * stride;
      region = {std::max(cx - radius, box.x1), std::max(cy - radius, box.y1), std::min(cx + radius, box.x2),
                std::min(cy + radius, box.y2)};
    }
    if (std::min(std::min(x - region.x1, y - region.y1), std::min(region.x2 - x, region.y2 - y)) <= 0) continue;
    const float longest = std::max(std::max(l, t), std::max(r, b));
    if (config.ranges_inclusive ? longest < low || longest > high : longest <= low || longest >= high) continue;
    if (best < 0 || box.area() < best_area) {
      best = static_cast<int>(g);
      best_area = box.area();
    }
  }
  return best;
}

TEST(FcosTargets, OneObject) {
  const PyramidGeometry geometry = geometry_of(1, 128, 128);
  const FcosConfig config;
  // Centre (52, 52), radius 12 on P3: cells 44, 52, 60 lie strictly inside (40, 64).
  const FcosTargets targets = assign(geometry, 128, 128, {targets_of({object({32, 32, 72, 72}, 7)})}, config);
  ASSERT_EQ(targets.positives.size(), 9u);
  EXPECT_EQ(static_cast<int64_t>(targets.labels.size()), geometry.rows());
  const PositiveCell& first = targets.positives[0];
  EXPECT_EQ(first.row, 5 * 16 + 5);
  EXPECT_EQ(first.x, 44);
  EXPECT_EQ(first.y, 44);
  EXPECT_EQ(first.distances[0], 12 / 8.0f);
  EXPECT_EQ(first.distances[1], 12 / 8.0f);
  EXPECT_EQ(first.distances[2], 28 / 8.0f);
  EXPECT_EQ(first.distances[3], 28 / 8.0f);
  EXPECT_FLOAT_EQ(first.centerness, std::sqrt(12.0f / 28 * 12 / 28));
  EXPECT_FLOAT_EQ(targets.positives[4].centerness, 1.0f);
  for (size_t i = 0; i + 1 < targets.positives.size(); ++i)
    EXPECT_LT(targets.positives[i].row, targets.positives[i + 1].row);
  int64_t background = 0;
  for (const int32_t label : targets.labels) background += label == 80;
  EXPECT_EQ(background, geometry.rows() - 9);
  EXPECT_EQ(targets.labels[static_cast<size_t>(first.row)], 7);
}

TEST(FcosTargets, RegionIsOpenAndClippedToTheBox) {
  const PyramidGeometry geometry = geometry_of(1, 128, 128);
  const FcosConfig config;
  // A border of the centre region through cell centres: centre 48 -> (36, 60), cells at 36 and 60 are outside.
  EXPECT_EQ(assign(geometry, 128, 128, {targets_of({object({24, 24, 72, 72}, 0)})}, config).positives.size(), 4u);
  // A thin box: x in (50, 54) holds only the column at 52.
  EXPECT_EQ(assign(geometry, 128, 128, {targets_of({object({50, 32, 54, 72}, 0)})}, config).positives.size(), 3u);
  // Between the cells, or without extent: no location at all.
  EXPECT_TRUE(assign(geometry, 128, 128, {targets_of({object({53, 53, 54, 54}, 0)})}, config).positives.empty());
  EXPECT_TRUE(assign(geometry, 128, 128, {targets_of({object({52, 40, 52, 60}, 0)})}, config).positives.empty());
  // One pixel around a cell centre.
  EXPECT_EQ(
      assign(geometry, 128, 128, {targets_of({object({51.5f, 51.5f, 52.5f, 52.5f}, 0)})}, config).positives.size(), 1u);
}

TEST(FcosTargets, SmallestAreaThenFirst) {
  const PyramidGeometry geometry = geometry_of(1, 128, 128);
  const FcosConfig config;
  const FcosTargets nested =
      assign(geometry, 128, 128, {targets_of({object({32, 32, 72, 72}, 1), object({40, 40, 64, 64}, 2)})}, config);
  ASSERT_EQ(nested.positives.size(), 9u);
  for (const PositiveCell& cell : nested.positives) EXPECT_EQ(cell.object, 1);
  const FcosTargets equal =
      assign(geometry, 128, 128, {targets_of({object({32, 32, 72, 72}, 1), object({32, 32, 72, 72}, 2)})}, config);
  for (const PositiveCell& cell : equal.positives) EXPECT_EQ(cell.object, 0);
}

TEST(FcosTargets, RangesAreInclusiveAndShared) {
  // At cell (68, 68) of P3 and (72, 72) of P4 a box may reach exactly 64: both levels answer.
  const PyramidGeometry geometry = geometry_of(1, 256, 256);
  FcosConfig config;
  const auto levels = [&](const Box& box) {
    std::vector<int> count(5, 0);
    for (const PositiveCell& cell : assign(geometry, 256, 256, {targets_of({object(box, 0)})}, config).positives) {
      ++count[static_cast<size_t>(cell.level)];
    }
    return count;
  };
  EXPECT_EQ(levels({8, 8, 136, 136})[1], 9);  // P4: longest side at the centre (72, 72) is 64
  EXPECT_EQ(levels({4, 4, 132, 132})[0], 1);  // P3: only the cell in the centre reaches 64
  config.ranges_inclusive = false;
  EXPECT_EQ(levels({8, 8, 136, 136})[1], 8);
  EXPECT_EQ(levels({4, 4, 132, 132})[0], 0);
}

TEST(FcosTargets, AgreesWithTheDefinition) {
  std::vector<FcosConfig> configs(4);
  configs[1] = fcos_variant("torchvision");
  configs[2] = fcos_variant("fcos2019");
  configs[3].range_scale = 0.5f;
  const int64_t height = 224, width = 352;
  for (const FcosConfig& config : configs) {
    const PyramidGeometry geometry = geometry_of(3, height, width, config.range_scale == 0.5f ? 2 : 3);
    const std::vector<LevelGrid> grids = level_grids(geometry, height, width, config);
    std::vector<ImageTargets> images(3);  // the last one has no object
    for (size_t image = 0; image < 2; ++image) {
      Rng rng(5, RandomPurpose::test, image);
      for (int i = 0; i < 25; ++i) {
        const float side = 4.0f + 200.0f * rng.uniform() * rng.uniform();
        Box box;
        box.x1 = std::floor(rng.uniform(0, 300) * 2) / 2;  // halves: borders meet cell centres
        box.y1 = std::floor(rng.uniform(0, 200) * 2) / 2;
        box.x2 = std::min(box.x1 + std::floor(side), 352.0f);
        box.y2 = std::min(box.y1 + std::floor(side * rng.uniform(0.4f, 1.5f)), 224.0f);
        images[image].objects.push_back(object(box, i));
      }
    }
    const FcosTargets targets = assign_fcos_targets(geometry, grids, images, config);
    size_t next = 0;
    for (size_t image = 0; image < images.size(); ++image) {
      for (int64_t index = 0; index < 5; ++index) {
        const PyramidLevel& level = geometry.level(index);
        const LevelGrid& grid = grids[static_cast<size_t>(index)];
        for (int64_t cell = 0; cell < level.cells(); ++cell) {
          const float x = static_cast<float>(cell % level.width) * grid.step_x + grid.offset;
          const float y = static_cast<float>(cell / level.width) * grid.step_y + grid.offset;
          const int owner = owner_by_definition(images[image].objects, x, y, static_cast<float>(level.stride), grid.low,
                                                grid.high, config);
          const int64_t row = level.row_begin + static_cast<int64_t>(image) * level.cells() + cell;
          ASSERT_EQ(targets.labels[static_cast<size_t>(row)], owner < 0 ? config.classes : owner)
              << "image " << image << " level " << index << " cell " << cell;
          if (owner < 0) continue;
          ASSERT_LT(next, targets.positives.size());
          const PositiveCell& positive = targets.positives[next++];
          ASSERT_EQ(positive.row, row);
          ASSERT_EQ(positive.object, owner);
          ASSERT_EQ(positive.x, x);
          ASSERT_EQ(positive.y, y);
          ASSERT_EQ(positive.distances[2], (images[image].objects[static_cast<size_t>(owner)].box.x2 - x) / grid.unit);
        }
      }
    }
    EXPECT_EQ(next, targets.positives.size());
    EXPECT_GT(next, 50u);
  }
}

TEST(FcosTargets, GridsOfTheVariants) {
  const PyramidGeometry geometry = geometry_of(1, 800, 1344);
  const std::vector<LevelGrid> ours = level_grids(geometry, 800, 1344, FcosConfig{});
  EXPECT_EQ(ours[0].low, -1);
  EXPECT_EQ(ours[4].high, 1e8f);
  for (size_t level = 0; level < 5; ++level) {
    EXPECT_EQ(ours[level].step_x, static_cast<float>(8 << level));
    EXPECT_EQ(ours[level].offset, static_cast<float>(4 << level));
    EXPECT_EQ(ours[level].unit, static_cast<float>(8 << level));
  }
  EXPECT_EQ(ours[2].low, 128);
  EXPECT_EQ(ours[2].high, 256);
  // Section 2.5: at 800x1344 the strides of torchvision are 61 and 64 on P6, 114 and 122 on P7.
  const std::vector<LevelGrid> torchvision = level_grids(geometry, 800, 1344, fcos_variant("torchvision"));
  EXPECT_EQ(torchvision[3].step_y, 61);
  EXPECT_EQ(torchvision[3].step_x, 64);
  EXPECT_EQ(torchvision[4].step_y, 114);
  EXPECT_EQ(torchvision[4].step_x, 122);
  EXPECT_EQ(torchvision[4].unit, 128);
  EXPECT_EQ(torchvision[0].offset, 0);
  EXPECT_EQ(torchvision[0].low, 0);
  EXPECT_EQ(level_grids(geometry, 800, 1344, fcos_variant("fcos2019"))[3].unit, 1);
}

}  // namespace
}  // namespace tessera
