#include "engine/ops/fcos_decode.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"

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
