#include "engine/ops/fcos_decode.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/fcos_decode.h"

namespace tessera {
namespace {

using namespace testing_support;

// Two images; one candidate on the first level of image 0, two on the second level of image 1.
struct Fixture {
  PyramidGeometry geometry{2};
  TopKSelection selection;
  Tensor distances;

  explicit Fixture(Context& context) {
    geometry.add_level(4, 5, 8);
    geometry.add_level(2, 3, 16);
    const int32_t a = static_cast<int32_t>(geometry.row(0, 0, 3, 1)),
                  b = static_cast<int32_t>(geometry.row(1, 1, 1, 2)),
                  c = static_cast<int32_t>(geometry.row(1, 1, 0, 0));
    // [image][level][k = 2]
    selection = {Tensor::from_host<float>(context, {2, 2, 2}, std::vector<float>{.25f, 0, 0, 0, 0, 0, .81f, .16f}),
                 Tensor::from_host<int32_t>(context, {2, 2, 2}, std::vector<int32_t>{a, 0, 0, 0, 0, 0, b, c}),
                 Tensor::from_host<int32_t>(context, {2, 2, 2}, std::vector<int32_t>{7, 0, 0, 0, 0, 0, 2, 3}),
                 Tensor::from_host<int32_t>(context, {2, 2}, std::vector<int32_t>{1, 0, 0, 2})};
    std::vector<float> sides(static_cast<size_t>(4 * geometry.rows()), 0.0f);
    const auto set = [&](int32_t row, std::array<float, 4> values) {
      std::copy(values.begin(), values.end(), sides.begin() + 4 * row);
    };
    set(a, {0.5f, 1, 1.5f, 2});
    set(b, {3, 1, 2, 0.25f});
    set(c, {1, 1, 1, 1});
    distances = Tensor::from_host<float>(context, {geometry.rows(), 4}, sides);
  }
};

// Cells drawn at random, every rule, clipped and not, and back to the original picture.
TEST(FcosDecode, AgreesWithOracle) {
  PyramidGeometry geometry(3);
  geometry.add_level(9, 13, 8);
  geometry.add_level(5, 7, 16);
  constexpr int64_t kMost = 20, kPaddedHeight = 72, kPaddedWidth = 104;
  Rng rng(11, RandomPurpose::test);
  std::vector<float> values(3 * 2 * kMost), distances(static_cast<size_t>(4 * geometry.rows()));
  std::vector<int32_t> rows(values.size()), classes(values.size()), counts(6);
  for (float& side : distances) side = 3.0f * rng.uniform();
  struct Cell {
    int64_t level, y, x;
  };
  std::vector<Cell> cells(values.size());
  for (size_t list = 0; list < counts.size(); ++list) {
    const auto level = static_cast<int64_t>(list % 2), image = static_cast<int64_t>(list / 2);
    counts[list] = image == 1 && level == 0 ? 0 : static_cast<int32_t>(rng.below(kMost + 1));
    for (size_t i = list * kMost; i < list * kMost + static_cast<size_t>(counts[list]); ++i) {
      cells[i] = {level, static_cast<int64_t>(rng.below(static_cast<uint32_t>(geometry.level(level).height))),
                  static_cast<int64_t>(rng.below(static_cast<uint32_t>(geometry.level(level).width)))};
      rows[i] = static_cast<int32_t>(geometry.row(level, image, cells[i].y, cells[i].x));
      classes[i] = static_cast<int32_t>(rng.below(7));
      values[i] = 0.05f + 0.9f * rng.uniform();
    }
  }
  const std::vector<float> clip = {60, 100, 72, 88, 64, 104};
  const std::vector<int32_t> sizes = {120, 150, 60, 100, 50, 80, 72, 88, 64, 10, 64, 104};
  for (const LocationRule rule : {LocationRule::half_stride, LocationRule::torchvision}) {
    for (const bool other : {false, true}) {  // pixels for strides, products for roots, clipped
      std::vector<std::vector<reference::BoxSides>> boxes(3);
      std::vector<std::vector<double>> scores(3);
      for (size_t list = 0; list < counts.size(); ++list) {
        for (size_t i = list * kMost; i < list * kMost + static_cast<size_t>(counts[list]); ++i) {
          const auto& level = geometry.level(cells[i].level);
          const auto middle = rule == LocationRule::half_stride
                                  ? reference::cell_middle(cells[i].y, cells[i].x, static_cast<double>(level.stride))
                                  : reference::torchvision_middle(cells[i].y, cells[i].x, level.height, level.width,
                                                                  kPaddedHeight, kPaddedWidth);
          reference::BoxSides sides;
          for (size_t side = 0; side < 4; ++side) sides[side] = distances[4 * static_cast<size_t>(rows[i]) + side];
          reference::BoxSides box = reference::fcos_box(middle, sides, other ? 1 : static_cast<double>(level.stride));
          if (other) box = reference::clipped(box, clip[list / 2 * 2], clip[list / 2 * 2 + 1]);
          boxes[list / 2].push_back(box);
          scores[list / 2].push_back(other ? static_cast<double>(values[i]) : std::sqrt(values[i]));
        }
      }
      for_each_backend([&](Context& context) {
        const TopKSelection selection = {Tensor::from_host<float>(context, {3, 2, kMost}, values),
                                         Tensor::from_host<int32_t>(context, {3, 2, kMost}, rows),
                                         Tensor::from_host<int32_t>(context, {3, 2, kMost}, classes),
                                         Tensor::from_host<int32_t>(context, {3, 2}, counts)};
        const Candidates found =
            fcos_decode(context, selection, Tensor::from_host<float>(context, {geometry.rows(), 4}, distances),
                        geometry, other ? Tensor::from_host<float>(context, {3, 2}, clip) : Tensor(),
                        {.location = rule,
                         .padded_height = kPaddedHeight,
                         .padded_width = kPaddedWidth,
                         .pixel_distances = other,
                         .root_score = !other});
        const Candidates original =
            rescale_candidates(context, found, Tensor::from_host<int32_t>(context, {3, 4}, sizes));
        const auto found_counts = found.counts.to_host<int32_t>(context);
        const auto found_boxes = found.boxes.to_host<float>(context),
                   found_scores = found.scores.to_host<float>(context);
        const auto original_counts = original.counts.to_host<int32_t>(context);
        const auto original_boxes = original.boxes.to_host<float>(context);
        for (size_t image = 0; image < 3; ++image) {
          ASSERT_EQ(found_counts[image], static_cast<int32_t>(boxes[image].size()));
          size_t kept = 0;
          for (size_t i = 0; i < boxes[image].size(); ++i) {
            const size_t at = image * 2 * kMost + i;
            for (size_t side = 0; side < 4; ++side)
              EXPECT_NEAR(found_boxes[4 * at + side], boxes[image][i][side], 1e-4) << image << " " << i;
            EXPECT_NEAR(found_scores[at], scores[image][i], 1e-6);
            const int32_t* size = sizes.data() + 4 * image;
            const reference::BoxSides box = reference::rescaled(boxes[image][i], size[0], size[1], size[2], size[3]);
            if (box[2] <= box[0] || box[3] <= box[1]) continue;
            for (size_t side = 0; side < 4; ++side)
              EXPECT_NEAR(original_boxes[4 * (image * 2 * kMost + kept) + side], box[side], 2e-4) << image << " " << i;
            ++kept;
          }
          EXPECT_EQ(original_counts[image], static_cast<int32_t>(kept));
        }
      });
    }
  }
}

TEST(FcosDecode, BoxesScoresAndCarriedIndices) {
  for_each_backend([&](Context& context) {
    const Fixture at(context);
    const Candidates found = fcos_decode(context, at.selection, at.distances, at.geometry, {}, {});
    EXPECT_EQ(found.counts.to_host<int32_t>(context), (std::vector<int32_t>{1, 2}));
    EXPECT_EQ(found.boxes.shape(), Shape({2, 4, 4}));
    const std::vector<float> boxes = found.boxes.to_host<float>(context);
    // Cell (3, 1) of stride 8: centre (12, 28).
    EXPECT_EQ((std::vector<float>(boxes.begin(), boxes.begin() + 4)), (std::vector<float>{8, 20, 24, 44}));
    // Cells (1, 2) and (0, 0) of stride 16: centres (40, 24) and (8, 8).
    EXPECT_EQ((std::vector<float>(boxes.begin() + 16, boxes.begin() + 24)),
              (std::vector<float>{-8, 8, 72, 28, -8, -8, 24, 24}));
    const std::vector<float> scores = found.scores.to_host<float>(context);
    EXPECT_FLOAT_EQ(scores[0], 0.5f);
    EXPECT_FLOAT_EQ(scores[4], 0.9f);
    EXPECT_FLOAT_EQ(scores[5], 0.4f);
    EXPECT_EQ(found.classes.to_host<int32_t>(context), (std::vector<int32_t>{7, 0, 0, 0, 2, 3, 0, 0}));
    const std::vector<int32_t> rows = found.rows.to_host<int32_t>(context);
    EXPECT_EQ(rows[0], at.geometry.row(0, 0, 3, 1));
    EXPECT_EQ(rows[4], at.geometry.row(1, 1, 1, 2));
    EXPECT_EQ(rows[1], 0);
  });
}

TEST(FcosDecode, Variants) {
  for_each_backend([&](Context& context) {
    const Fixture at(context);
    const auto first = [&](const Tensor& clip, const FcosDecodeOptions& options, size_t index) {
      const Candidates found = fcos_decode(context, at.selection, at.distances, at.geometry, clip, options);
      const std::vector<float> boxes = found.boxes.to_host<float>(context);
      std::vector<float> result(boxes.begin() + static_cast<std::ptrdiff_t>(4 * index),
                                boxes.begin() + static_cast<std::ptrdiff_t>(4 * index + 4));
      result.push_back(found.scores.to_host<float>(context)[index]);
      return result;
    };
    EXPECT_EQ(first({}, {.pixel_distances = true, .root_score = false}, 0),
              (std::vector<float>{11.5f, 27, 13.5f, 30, 0.25f}));
    const Tensor clip = Tensor::from_host<float>(context, {2, 2}, std::vector<float>{40, 20, 27, 70});
    EXPECT_EQ(first(clip, {}, 0), (std::vector<float>{8, 20, 20, 40, 0.5f}));
    EXPECT_EQ(first(clip, {.root_score = false}, 4), (std::vector<float>{0, 8, 70, 27, 0.81f}));
    // 40 x 50 pixels: level 1 has 2 x 3 cells, so its anchors stand 20 and 16 pixels apart, without half a stride.
    const FcosDecodeOptions torchvision{
        .location = LocationRule::torchvision, .padded_height = 40, .padded_width = 50, .root_score = false};
    EXPECT_EQ(first({}, torchvision, 4), (std::vector<float>{32 - 48, 20 - 16, 32 + 32, 20 + 4, 0.81f}));
  });
}

TEST(FcosDecode, BackToTheOriginalPicture) {
  for_each_backend([&](Context& context) {
    const Fixture at(context);
    const Candidates found = fcos_decode(context, at.selection, at.distances, at.geometry, {}, {});
    // Image 0: twice as large in x, half in y. Image 1: only 9 x 9 pixels remain, the first box lies outside.
    const Tensor sizes = Tensor::from_host<int32_t>(context, {2, 4}, std::vector<int32_t>{16, 80, 32, 40, 7, 9, 7, 9});
    const Candidates original = rescale_candidates(context, found, sizes);
    EXPECT_EQ(original.counts.to_host<int32_t>(context), (std::vector<int32_t>{1, 1}));
    const std::vector<float> boxes = original.boxes.to_host<float>(context);
    EXPECT_EQ((std::vector<float>(boxes.begin(), boxes.begin() + 4)), (std::vector<float>{16, 10, 48, 16}));
    EXPECT_EQ((std::vector<float>(boxes.begin() + 16, boxes.begin() + 24)),
              (std::vector<float>{0, 0, 9, 7, 0, 0, 0, 0}));
    EXPECT_EQ(original.classes.to_host<int32_t>(context)[4], 3);
    EXPECT_EQ(original.capacity(), found.capacity());
  });
}

}  // namespace
}  // namespace tessera
