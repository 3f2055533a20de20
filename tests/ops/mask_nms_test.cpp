// Binary masks and their suppression against the definitions written out, and the golden values of spec/yolactr.md
// section 5.
#include "engine/ops/mask_nms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/core/rng.h"
#include "engine/ops/mask_binarize.h"
#include "engine/ops/point_nms.h"

namespace tessera {
namespace {

template <typename T>
Tensor tensor(Context& context, const Shape& shape, const std::vector<T>& values) {
  return Tensor::from_host<T>(context, shape, values);
}

TEST(MaskBinarize, BitsAreasAndMaskness) {
  for (const int64_t pixels : {1, 63, 64, 65, 300}) {
    constexpr int64_t kCount = 5;
    Rng rng(2, RandomPurpose::test, 0, static_cast<uint64_t>(pixels));
    std::vector<float> logits(static_cast<size_t>(kCount * pixels));
    for (float& value : logits) value = 2.0f * rng.normal();
    std::fill(logits.begin(), logits.begin() + pixels, -5.0f);  // an empty mask
    logits.back() = 0.0f;                                       // exactly the threshold: not set
    for (const int threads : {1, 3}) {
      CpuContext context(threads);
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
          EXPECT_EQ(bit, z > 0) << m << " " << i;
          area += bit;
          if (bit) sum += 1 / (1 + std::exp(-static_cast<double>(z)));
        }
        EXPECT_EQ(areas[static_cast<size_t>(m)], area);
        EXPECT_NEAR(maskness[static_cast<size_t>(m)], area > 0 ? sum / area : 0, 1e-6);
      }
    }
  }
}

TEST(MaskOverlap, IntersectionOverUnionOfEqualLabels) {
  constexpr int64_t kCount = 40, kPixels = 200;
  Rng rng(3, RandomPurpose::test);
  std::vector<float> logits;
  for (int64_t i = 0; i < kCount * kPixels; ++i) logits.push_back(i / kPixels == 7 ? -1.0f : rng.normal());
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < kCount; ++i) labels.push_back(static_cast<int32_t>(rng.below(3)));
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 4}) {
    CpuContext context(threads);
    const BinaryMasks masks = mask_binarize(context, tensor(context, {kCount, kPixels}, logits), 0.5f);
    results.push_back(
        mask_overlap(context, masks.words, masks.areas, tensor(context, {kCount}, labels)).to_host<float>(context));
  }
  EXPECT_EQ(results[0], results[1]);
  for (int64_t i = 0; i < kCount; ++i) {
    for (int64_t j = 0; j < kCount; ++j) {
      double both = 0, either = 0;
      for (int64_t p = 0; p < kPixels; ++p) {
        const bool a = logits[static_cast<size_t>(i * kPixels + p)] > 0,
                   b = logits[static_cast<size_t>(j * kPixels + p)] > 0;
        both += a && b;
        either += a || b;
      }
      const bool counts = i < j && labels[static_cast<size_t>(i)] == labels[static_cast<size_t>(j)] && either > 0;
      EXPECT_NEAR(results[0][static_cast<size_t>(i * kCount + j)], counts ? both / either : 0, 1e-7);
    }
  }
}

std::vector<float> decay(const std::vector<float>& overlaps, const std::vector<float>& scores,
                         const MatrixNmsOptions& options) {
  CpuContext context(2);
  const auto count = static_cast<int64_t>(scores.size());
  return matrix_nms(context, tensor(context, {count, count}, overlaps), tensor(context, {count}, scores), options)
      .to_host<float>(context);
}

void expect_near(const std::vector<float>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 5e-6) << i;
}

TEST(MatrixNms, GoldenValues) {
  const std::vector<float> scores = {0.9f, 0.8f, 0.7f};
  const std::vector<float> same = {0, 0.8f, 0.1f, 0, 0, 0.6f, 0, 0, 0}, second_differs = {0, 0, 0.1f, 0, 0, 0, 0, 0, 0};
  expect_near(decay(same, scores, {}), {0.9, 0.22243, 0.686139});
  expect_near(decay(same, scores, {.gaussian = false}), {0.9, 0.16, 0.63});
  expect_near(decay(second_differs, scores, {}), {0.9, 0.8, 0.686139});
  // An exact duplicate goes under the linear rule.
  expect_near(decay({0, 1, 0, 0}, {0.9f, 0.8f}, {.gaussian = false}), {0.9, 0});
}

TEST(MatrixNms, TheLeastFactorOverAllRows) {
  // The definition, rows behind and of other labels included.
  constexpr size_t kCount = 30;
  Rng rng(6, RandomPurpose::test);
  std::vector<float> overlaps(kCount * kCount, 0.0f), scores;
  for (size_t i = 0; i < kCount; ++i) {
    for (size_t j = i + 1; j < kCount; ++j) overlaps[i * kCount + j] = rng.uniform() < 0.5f ? rng.uniform() : 0.0f;
    scores.push_back(rng.uniform());
  }
  for (const bool gaussian : {true, false}) {
    std::vector<double> expected;
    for (size_t j = 0; j < kCount; ++j) {
      double factor = INFINITY;
      for (size_t i = 0; i < kCount; ++i) {
        double c = 0;
        for (size_t k = 0; k < i; ++k) c = std::max(c, static_cast<double>(overlaps[k * kCount + i]));
        const double d = overlaps[i * kCount + j];
        factor = std::min(factor, gaussian ? std::exp(-2.0 * (d * d - c * c)) : (1 - d) / std::max(1 - c, 1e-12));
      }
      expected.push_back(scores[j] * factor);
    }
    expect_near(decay(overlaps, scores, {.gaussian = gaussian}), expected);
  }
  EXPECT_TRUE(decay({}, {}, {}).empty());
}

TEST(GreedyNms, RemovedMasksRemoveNoOthers) {
  CpuContext context(1);
  // 0 removes 1; 1 would remove 2; 0 and 2 overlap by exactly the threshold.
  const std::vector<float> overlaps = {0, 0.7f, 0.5f, 0, 0, 0.9f, 0, 0, 0};
  EXPECT_EQ(greedy_nms(context, tensor(context, {3, 3}, overlaps), 0.5f).to_host<uint8_t>(context),
            (std::vector<uint8_t>{1, 0, 1}));
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
  CpuContext context(3);
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
}

}  // namespace
}  // namespace tessera
