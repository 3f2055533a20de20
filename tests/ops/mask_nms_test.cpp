// The golden values are those of spec/yolactr.md, section 5.
#include "engine/ops/mask_nms.h"

#include <gtest/gtest.h>

#include "engine/core/rng.h"
#include "engine/ops/mask_binarize.h"
#include "tests/ops/op_check.h"
#include "tests/reference/mask_nms.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;

template <typename T>
Tensor tensor(Context& context, const Shape& shape, const std::vector<T>& values) {
  return Tensor::from_host<T>(context, shape, values);
}

constexpr int64_t kOverlapCount = 40;

struct OverlapCase {
  int64_t pixels;
  std::vector<float> logits;
  std::vector<int32_t> labels;

  explicit OverlapCase(int64_t pixels_) : pixels(pixels_) {
    Rng rng(3, RandomPurpose::test);
    for (int64_t i = 0; i < kOverlapCount * pixels; ++i) logits.push_back(i / pixels == 7 ? -1.0f : rng.normal());
    for (int64_t i = 0; i < kOverlapCount; ++i) labels.push_back(static_cast<int32_t>(rng.below(3)));
  }
  std::vector<float> on(Context& context) const {
    const BinaryMasks masks = mask_binarize(context, tensor(context, {kOverlapCount, pixels}, logits), 0.5f);
    return mask_overlap(context, masks.words, masks.areas, tensor(context, {kOverlapCount}, labels))
        .to_host<float>(context);
  }
};

TEST(MaskOverlap, IntersectionOverUnionOfEqualLabels) {
  for (const int64_t pixels : {200, 1100}) {
    const OverlapCase at(pixels);
    std::vector<std::vector<bool>> masks;
    for (auto row = at.logits.begin(); row != at.logits.end(); row += pixels) {
      masks.emplace_back();
      for (auto z = row; z != row + pixels; ++z) masks.back().push_back(*z > 0);
    }
    const std::vector<double> expected = reference::mask_overlap(masks, at.labels);
    for_each_backend([&](Context& context) {
      const std::vector<float> overlaps = at.on(context);
      ASSERT_EQ(overlaps.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(overlaps[i], expected[i], 1e-7) << i;
    });
  }
}

TEST(MaskOverlap, DoesNotDependOnTheNumberOfThreads) {
  const OverlapCase at(200);
  CpuContext one(1), four(4);
  EXPECT_EQ(at.on(one), at.on(four));
}

std::vector<float> decay(Context& context, const std::vector<float>& overlaps, const std::vector<float>& scores,
                         const MatrixNmsOptions& options) {
  const auto count = static_cast<int64_t>(scores.size());
  return matrix_nms(context, tensor(context, {count, count}, overlaps), tensor(context, {count}, scores), options)
      .to_host<float>(context);
}

void expect_rounded(const std::vector<float>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 5e-6) << i;
}

TEST(MatrixNms, GoldenValues) {
  const std::vector<float> scores = {0.9f, 0.8f, 0.7f};
  const std::vector<float> same = {0, 0.8f, 0.1f, 0, 0, 0.6f, 0, 0, 0}, second_differs = {0, 0, 0.1f, 0, 0, 0, 0, 0, 0};
  for_each_backend([&](Context& context) {
    expect_rounded(decay(context, same, scores, {}), {0.9, 0.22243, 0.686139});
    expect_rounded(decay(context, same, scores, {.gaussian = false}), {0.9, 0.16, 0.63});
    expect_rounded(decay(context, second_differs, scores, {}), {0.9, 0.8, 0.686139});
    // An exact duplicate goes under the linear rule.
    expect_rounded(decay(context, {0, 1, 0, 0}, {0.9f, 0.8f}, {.gaussian = false}), {0.9, 0});
  });
}

TEST(MatrixNms, TheLeastFactorOverAllRows) {
  for (const size_t count : {30, 32, 71}) {
    Rng rng(6, RandomPurpose::test);
    std::vector<float> overlaps(count * count, 0.0f), scores;
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = i + 1; j < count; ++j) overlaps[i * count + j] = rng.uniform() < 0.5f ? rng.uniform() : 0.0f;
      scores.push_back(rng.uniform());
    }
    for (const bool gaussian : {true, false}) {
      const std::vector<double> expected = reference::matrix_nms(overlaps, scores, gaussian);
      for_each_backend([&](Context& context) {
        expect_rounded(decay(context, overlaps, scores, {.gaussian = gaussian}), expected);
      });
    }
  }
  for_each_backend([](Context& context) { EXPECT_TRUE(decay(context, {}, {}, {}).empty()); });
}

TEST(GreedyNms, RemovedMasksRemoveNoOthers) {
  // 0 removes 1; 1 would remove 2; 0 and 2 overlap by exactly the threshold.
  const std::vector<float> overlaps = {0, 0.7f, 0.5f, 0, 0, 0.9f, 0, 0, 0};
  for_each_backend([&](Context& context) {
    EXPECT_EQ(greedy_nms(context, tensor(context, {3, 3}, overlaps), 0.5f).to_host<uint8_t>(context),
              (std::vector<uint8_t>{1, 0, 1}));
    EXPECT_TRUE(greedy_nms(context, tensor<float>(context, {0, 0}, {}), 0.5f).to_host<uint8_t>(context).empty());
  });
}

// Counts around the 64 masks that the device kernel looks at together.
TEST(GreedyNms, AMaskStaysWhenNoKeptOneBeforeItOverlapsIt) {
  for (const size_t count : {1, 63, 64, 65, 200}) {
    Rng rng(7, RandomPurpose::test, 0, count);
    std::vector<float> overlaps(count * count, 0.0f);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = i + 1; j < count; ++j) overlaps[i * count + j] = rng.uniform() < 0.05f ? 0.6f : 0.4f;
    }
    const std::vector<uint8_t> expected = reference::greedy_nms(overlaps, count, 0.5);
    const auto side = static_cast<int64_t>(count);
    for_each_backend([&](Context& context) {
      EXPECT_EQ(greedy_nms(context, tensor(context, {side, side}, overlaps), 0.5f).to_host<uint8_t>(context), expected)
          << count;
    });
  }
}

}  // namespace
}  // namespace tessera
