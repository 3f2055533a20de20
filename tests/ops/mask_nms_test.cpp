// Binary masks and their suppression against the definitions written out, and the golden values of spec/yolactr.md
// section 5.
#include "engine/ops/mask_nms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/core/rng.h"
#include "engine/ops/mask_binarize.h"
#include "engine/ops/point_nms.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;

template <typename T>
Tensor tensor(Context& context, const Shape& shape, const std::vector<T>& values) {
  return Tensor::from_host<T>(context, shape, values);
}

// Sizes around the words and around the chunks of the device kernel.
TEST(MaskBinarize, BitsAreasAndMaskness) {
  for (const int64_t pixels : {0, 1, 63, 64, 65, 300, 4096, 4130}) {
    constexpr int64_t kCount = 5;
    Rng rng(2, RandomPurpose::test, 0, static_cast<uint64_t>(pixels));
    std::vector<float> logits(static_cast<size_t>(kCount * pixels));
    for (float& value : logits) value = 2.0f * rng.normal();
    std::fill(logits.begin(), logits.begin() + pixels, -5.0f);  // an empty mask
    if (pixels > 0) logits.back() = 0.0f;                       // exactly the threshold: not set
    for_each_backend([&](Context& context) {
      const BinaryMasks masks = mask_binarize(context, tensor(context, {kCount, pixels}, logits), 0.5f);
      const auto words = masks.words.to_host<int64_t>(context);
      const auto areas = masks.areas.to_host<int32_t>(context);
      const auto maskness = masks.maskness.to_host<float>(context);
      const int64_t per_mask = (pixels + 63) / 64;
      ASSERT_EQ(static_cast<int64_t>(words.size()), kCount * per_mask);
      for (int64_t m = 0; m < kCount; ++m) {
        int32_t area = 0;
        double sum = 0;
        for (int64_t i = 0; i < 64 * per_mask; ++i) {
          const bool bit = static_cast<uint64_t>(words[static_cast<size_t>(m * per_mask + i / 64)]) >> (i % 64) & 1;
          const float z = i < pixels ? logits[static_cast<size_t>(m * pixels + i)] : -1.0f;
          ASSERT_EQ(bit, z > 0) << m << " " << i;
          area += bit;
          if (bit) sum += 1 / (1 + std::exp(-static_cast<double>(z)));
        }
        EXPECT_EQ(areas[static_cast<size_t>(m)], area);
        EXPECT_NEAR(maskness[static_cast<size_t>(m)], area > 0 ? sum / area : 0, 1e-6);
      }
    });
  }
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
    std::vector<double> expected;
    for (int64_t i = 0; i < kOverlapCount; ++i) {
      for (int64_t j = 0; j < kOverlapCount; ++j) {
        double both = 0, either = 0;
        for (int64_t p = 0; p < pixels; ++p) {
          const bool a = at.logits[static_cast<size_t>(i * pixels + p)] > 0,
                     b = at.logits[static_cast<size_t>(j * pixels + p)] > 0;
          both += a && b;
          either += a || b;
        }
        const bool same = at.labels[static_cast<size_t>(i)] == at.labels[static_cast<size_t>(j)];
        expected.push_back(i < j && same && either > 0 ? both / either : 0);
      }
    }
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
  // The definition, rows behind and of other labels included.
  for (const size_t count : {30, 32, 71}) {
    Rng rng(6, RandomPurpose::test);
    std::vector<float> overlaps(count * count, 0.0f), scores;
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = i + 1; j < count; ++j) overlaps[i * count + j] = rng.uniform() < 0.5f ? rng.uniform() : 0.0f;
      scores.push_back(rng.uniform());
    }
    for (const bool gaussian : {true, false}) {
      std::vector<double> expected;
      for (size_t j = 0; j < count; ++j) {
        double factor = INFINITY;
        for (size_t i = 0; i < count; ++i) {
          double c = 0;
          for (size_t k = 0; k < i; ++k) c = std::max(c, static_cast<double>(overlaps[k * count + i]));
          const double d = overlaps[i * count + j];
          factor = std::min(factor, gaussian ? std::exp(-2.0 * (d * d - c * c)) : (1 - d) / std::max(1 - c, 1e-12));
        }
        expected.push_back(scores[j] * factor);
      }
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
    std::vector<uint8_t> expected;
    for (size_t j = 0; j < count; ++j) {
      bool stays = true;
      for (size_t i = 0; i < j; ++i) stays = stays && !(expected[i] != 0 && overlaps[i * count + j] > 0.5f);
      expected.push_back(stays);
    }
    const auto side = static_cast<int64_t>(count);
    for_each_backend([&](Context& context) {
      EXPECT_EQ(greedy_nms(context, tensor(context, {side, side}, overlaps), 0.5f).to_host<uint8_t>(context), expected)
          << count;
    });
  }
}

TEST(PointNms, KeepsWhatNoEarlierNeighbourExceeds) {
  PyramidGeometry geometry(2);
  geometry.add_level(5, 4, 1);
  geometry.add_level(1, 3, 1);
  geometry.add_level(1, 1, 1);
  constexpr int64_t kClasses = 3;
  Rng rng(8, RandomPurpose::test);
  std::vector<float> scores(static_cast<size_t>(geometry.rows() * kClasses));
  for (float& score : scores) score = static_cast<float>(rng.below(6)) / 6.0f;  // with ties
  for_each_backend([&](Context& context) {
    const auto kept =
        point_nms(context, tensor(context, {geometry.rows(), kClasses}, scores), geometry).to_host<float>(context);
    for (int64_t l = 0; l < geometry.level_count(); ++l) {
      for (int64_t n = 0; n < 2; ++n) {
        for (int64_t y = 0; y < geometry.level(l).height; ++y) {
          for (int64_t x = 0; x < geometry.level(l).width; ++x) {
            for (int64_t k = 0; k < kClasses; ++k) {
              const auto at = [&](int64_t dy, int64_t dx) {
                if (y + dy < 0 || x + dx < 0) return -INFINITY;
                return scores[static_cast<size_t>(geometry.row(l, n, y + dy, x + dx) * kClasses + k)];
              };
              const float best = std::max({at(-1, -1), at(-1, 0), at(0, -1)});
              const float expected = at(0, 0) >= best ? at(0, 0) : 0.0f;
              EXPECT_EQ(kept[static_cast<size_t>(geometry.row(l, n, y, x) * kClasses + k)], expected);
            }
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace tessera
