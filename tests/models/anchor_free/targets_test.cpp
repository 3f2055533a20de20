// The golden assignments of spec/yolactr.md section 4.2, and every rule of it against its definition written out on
// padded pictures.
#include "models/anchor_free/targets.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/core/rng.h"

namespace tessera {
namespace {

ObjectTarget filled(int x1, int y1, int x2, int y2, int height, int width, int label = 0) {
  ObjectTarget object{{float(x1), float(y1), float(x2), float(y2)},
                      label,
                      {height, width, std::vector<uint8_t>(static_cast<size_t>(height) * width, 0)}};
  for (int y = y1; y < y2; ++y) {
    for (int x = x1; x < x2; ++x) object.mask.pixels[static_cast<size_t>(y) * width + x] = 1;
  }
  return object;
}

std::vector<CellRect> cells_of(int x1, int y1, int x2, int y2) {
  const Box box{float(x1), float(y1), float(x2), float(y2)};
  return claimed_cells(box, (x1 + x2 - 1) / 2.0, (y1 + y2 - 1) / 2.0, 800, 1344, AnchorFreeConfig{});
}

TEST(GridTargets, GoldenCells) {
  EXPECT_EQ(cells_of(100, 200, 300, 500), (std::vector<CellRect>{{2, 9, 11, 3, 3}, {3, 6, 7, 2, 2}}));
  EXPECT_EQ(cells_of(10, 10, 40, 60), (std::vector<CellRect>{{0, 1, 1, 0, 0}}));
  EXPECT_EQ(cells_of(600, 300, 700, 390), (std::vector<CellRect>{{0, 16, 17, 19, 19}, {1, 15, 15, 17, 17}}));
  EXPECT_EQ(cells_of(0, 0, 1333, 800), (std::vector<CellRect>{{4, 4, 6, 4, 6}}));
}

TEST(GridTargets, RangesIncludeTheirEnds) {
  EXPECT_EQ(cells_of(100, 100, 196, 196).size(), 3u);  // s = 96: levels 0, 1 and 2
  EXPECT_EQ(cells_of(100, 100, 148, 148).size(), 2u);  // s = 48: levels 0 and 1
  EXPECT_TRUE(claimed_cells({0, 0, 0.5f, 0.5f}, 0, 0, 800, 1344, AnchorFreeConfig{}).empty());
  EXPECT_TRUE(claimed_cells({5, 5, 5, 9}, 5, 7, 800, 1344, AnchorFreeConfig{}).empty());
}

TEST(GridTargets, CellsStayInTheGridAndAroundTheCentre) {
  Rng rng(5, RandomPurpose::test);
  const AnchorFreeConfig config;
  for (int i = 0; i < 2000; ++i) {
    const float x1 = rng.uniform(0, 1200), y1 = rng.uniform(0, 700);
    const Box box{x1, y1, x1 + rng.uniform(1, 1344 - x1), y1 + rng.uniform(1, 800 - y1)};
    const double cx = rng.uniform(box.x1, box.x2 - 1), cy = rng.uniform(box.y1, box.y2 - 1);
    for (const CellRect& rect : claimed_cells(box, cx, cy, 800, 1344, config)) {
      const int n = config.grids[static_cast<size_t>(rect.level)];
      const int row = static_cast<int>(cy * n / 800), column = static_cast<int>(cx * n / 1344);
      EXPECT_TRUE(rect.top >= 0 && rect.top <= row && row <= rect.bottom && rect.bottom < n);
      EXPECT_TRUE(rect.left >= 0 && rect.left <= column && column <= rect.right && rect.right < n);
      EXPECT_TRUE(row - rect.top <= 1 && rect.bottom - row <= 1 && column - rect.left <= 1 && rect.right - column <= 1);
    }
  }
}

AnchorFreeConfig small_config() {
  AnchorFreeConfig config;
  config.classes = 3;
  config.grids = {16, 12, 8, 6, 4};
  config.ranges = {{1, 24}, {12, 48}, {24, 96}, {48, 192}, {96, 9999}};
  return config;
}

TEST(GridTargets, LabelsPairsAndCounts) {
  const AnchorFreeConfig config = small_config();
  // s = 10, level 0 of the second picture: one cell.
  std::vector<ImageTargets> images(2);
  images[0] = {1, 64, 64, {}};
  images[1] = {2, 60, 64, {filled(20, 20, 30, 30, 60, 64, 2)}};
  const GridTargets targets = assign_grid_targets(images, 64, 64, config);
  ASSERT_EQ(targets.labels.size(), 2u * (256 + 144 + 64 + 36 + 16));
  ASSERT_FALSE(targets.pairs.empty());
  EXPECT_EQ(targets.positives, static_cast<int64_t>(targets.pairs.size()));
  EXPECT_EQ(targets.shared_cells, 0);
  EXPECT_EQ(targets.without_cell, 0);
  EXPECT_EQ(targets.masks.count, 1);
  std::set<int32_t> rows;
  for (const CellPair& pair : targets.pairs) {
    EXPECT_EQ(pair.image, 1);
    EXPECT_GE(pair.row, 256);  // level 0, behind the cells of picture 0
    EXPECT_LT(pair.row, 512);
    EXPECT_EQ(targets.labels[static_cast<size_t>(pair.row)], 2);
    rows.insert(pair.row);
  }
  // Centre 24.5 of 64: cell 6 of 16; half of 0.2 times 10 on both sides reaches 23.5 (cell 5) to 25.5 (cell 6).
  EXPECT_EQ(rows, (std::set<int32_t>{256 + 5 * 16 + 5, 256 + 5 * 16 + 6, 256 + 6 * 16 + 5, 256 + 6 * 16 + 6}));
  EXPECT_EQ(std::count_if(targets.labels.begin(), targets.labels.end(), [](int32_t l) { return l != 3; }),
            targets.positives);
}

TEST(GridTargets, ACellOfTwoObjectsLearnsBothMasksAndTheLastLabel) {
  AnchorFreeConfig config = small_config();
  std::vector<ImageTargets> images(1);
  images[0] = {1, 64, 64, {filled(20, 20, 30, 30, 64, 64, 0), filled(21, 21, 29, 29, 64, 64, 1)}};
  const GridTargets both = assign_grid_targets(images, 64, 64, config);
  EXPECT_EQ(both.shared_cells, both.overwritten);
  EXPECT_GT(both.shared_cells, 0);
  EXPECT_EQ(static_cast<int64_t>(both.pairs.size()), both.positives + both.shared_cells);
  EXPECT_EQ(both.masks.count, 2);
  for (const CellPair& pair : both.pairs) {
    EXPECT_TRUE(pair.object == 0 || both.labels[static_cast<size_t>(pair.row)] == 1);
  }
  config.unique_cells = true;
  const GridTargets last = assign_grid_targets(images, 64, 64, config);
  EXPECT_EQ(static_cast<int64_t>(last.pairs.size()), last.positives);
  EXPECT_EQ(last.labels, both.labels);
  EXPECT_EQ(last.shared_cells, both.shared_cells);
  for (const CellPair& pair : last.pairs) {
    EXPECT_EQ(images[0].objects[static_cast<size_t>(pair.object)].label, last.labels[static_cast<size_t>(pair.row)]);
  }
}

TEST(GridTargets, ObjectsWithoutPixelsOrRangeAreCounted) {
  AnchorFreeConfig config = small_config();
  config.ranges[0].low = 5;
  ObjectTarget empty = filled(4, 4, 20, 20, 64, 64);
  std::fill(empty.mask.pixels.begin(), empty.mask.pixels.end(), uint8_t{0});
  std::vector<ImageTargets> images(1);
  images[0] = {1, 64, 64, {empty, filled(1, 1, 3, 3, 64, 64)}};
  const GridTargets targets = assign_grid_targets(images, 64, 64, config);
  EXPECT_EQ(targets.without_cell, 2);
  EXPECT_TRUE(targets.pairs.empty());
  EXPECT_EQ(targets.masks.count, 0);
  EXPECT_EQ(assign_grid_targets(std::vector<ImageTargets>(1), 64, 64, config).positives, 0);
}

ObjectTarget random_object(Rng& rng, int height, int width, float density, int label) {
  ObjectTarget object = filled(0, 0, width, height, height, width, label);
  for (uint8_t& pixel : object.mask.pixels) pixel = rng.uniform() < density;
  return object;
}

uint8_t padded_pixel(const Bitmap& mask, int64_t y, int64_t x) {
  return y < mask.height && x < mask.width ? mask.at(static_cast<int>(y), static_cast<int>(x)) : uint8_t{0};
}

TEST(GridTargets, PackedMasksAreTheBilinearQuarter) {
  Rng rng(9, RandomPurpose::test);
  for (const int stride : {4, 2}) {
    for (const auto& [height, width] : {std::pair{61, 50}, {64, 64}, {33, 95}, {1, 2}}) {
      const Bitmap mask = random_object(rng, height, width, 0.5f, 0).mask;
      const int64_t rows = 64 / stride, columns = 96 / stride;
      PackedMasks packed{1, rows, columns, std::vector<int32_t>(static_cast<size_t>((rows * columns + 31) / 32), 0)};
      pack_mask(mask, stride, 64, 96, packed.words.data());
      for (int64_t y = 0; y < rows; ++y) {
        for (int64_t x = 0; x < columns; ++x) {
          // A bilinear sample at the middle of the block is the mean of its centre 2x2.
          const int64_t cy = y * stride + stride / 2, cx = x * stride + stride / 2;
          const double mean = (padded_pixel(mask, cy - 1, cx - 1) + padded_pixel(mask, cy - 1, cx) +
                               padded_pixel(mask, cy, cx - 1) + padded_pixel(mask, cy, cx)) /
                              4.0;
          EXPECT_EQ(packed.at(0, y * columns + x), mean >= 0.5) << stride << " " << y << " " << x;
        }
      }
    }
  }
}

TEST(GridTargets, SemanticTargetsAreTheUnionOfAClass) {
  Rng rng(10, RandomPurpose::test);
  AnchorFreeConfig config = small_config();
  std::vector<ImageTargets> images(2);
  for (int image = 0; image < 2; ++image) {
    const int height = 60 - 3 * image, width = 90;
    images[static_cast<size_t>(image)] = {image, height, width, {}};
    for (const int label : {0, 2, 2}) {
      images[static_cast<size_t>(image)].objects.push_back(random_object(rng, height, width, 0.5f, label));
    }
  }
  for (const int level : {2, 3, 4}) {
    config.semantic_level = level;
    const int stride = 1 << level;
    const int64_t rows = 64 / stride, columns = 96 / stride;
    const std::vector<float> targets = semantic_targets(images, 64, 96, config);
    ASSERT_EQ(static_cast<int64_t>(targets.size()), 2 * rows * columns * 3);
    size_t at = 0;
    for (size_t image = 0; image < 2; ++image) {
      for (int64_t y = 0; y < rows; ++y) {
        for (int64_t x = 0; x < columns; ++x) {
          for (int label = 0; label < 3; ++label, ++at) {
            int set = 0;
            for (int64_t i = 0; i < 4; ++i) {
              uint8_t any = 0;
              for (const ObjectTarget& object : images[image].objects) {
                if (object.label != label) continue;
                any |=
                    padded_pixel(object.mask, y * stride + stride / 2 - 1 + i / 2, x * stride + stride / 2 - 1 + i % 2);
              }
              set += any;
            }
            EXPECT_EQ(targets[at], set / 4.0 > 0.5 ? 1.0f : 0.0f);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera
