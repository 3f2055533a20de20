#include "engine/ops/select_top_k.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/ops/op_check.h"
#include "tests/reference/select_top_k.h"

namespace tessera {
namespace {

using namespace testing_support;

PyramidGeometry small_pyramid(int64_t images) {
  PyramidGeometry geometry(images);
  geometry.add_level(60, 50, 8);  // more rows than one piece of work
  geometry.add_level(7, 5, 16);
  geometry.add_level(1, 1, 32);
  return geometry;
}

std::vector<float> random_logits(int64_t count, uint64_t sample, double mean) {
  const OpInput input = random_input({count}, sample, 2.0, mean);
  return {input.values.begin(), input.values.end()};
}

void expect_selection(Context& context, const PyramidGeometry& geometry, const std::vector<float>& logits,
                      const std::vector<float>& quality, int classes, const SelectTopKOptions& options) {
  const int64_t rows = geometry.rows();
  const TopKSelection selection = select_top_k(
      context, Tensor::from_host<float>(context, {rows, classes}, logits),
      quality.empty() ? Tensor{} : Tensor::from_host<float>(context, {rows, 1}, quality), geometry, options);
  const std::vector<float> values = selection.values.to_host<float>(context);
  const std::vector<int32_t> row = selection.rows.to_host<int32_t>(context);
  const std::vector<int32_t> category = selection.classes.to_host<int32_t>(context);
  const std::vector<int32_t> counts = selection.counts.to_host<int32_t>(context);
  for (int64_t image = 0; image < geometry.images(); ++image) {
    for (int64_t level = 0; level < geometry.level_count(); ++level) {
      const int64_t begin = geometry.row(level, image, 0, 0);
      const std::vector<reference::ScoredCell> expected = reference::select_top_k(
          logits, quality, classes, static_cast<int>(begin), static_cast<int>(begin + geometry.level(level).cells()),
          static_cast<int>(options.rule), options.threshold, static_cast<size_t>(options.k));
      const int64_t group = image * geometry.level_count() + level;
      ASSERT_EQ(counts[group], static_cast<int32_t>(expected.size())) << "image " << image << " level " << level;
      for (size_t i = 0; i < static_cast<size_t>(options.k); ++i) {
        const size_t at = static_cast<size_t>(group * options.k) + i;
        const reference::ScoredCell entry = i < expected.size() ? expected[i] : reference::ScoredCell{0, 0, 0};
        ASSERT_FLOAT_EQ(values[at], static_cast<float>(entry.value)) << i;
        ASSERT_EQ(row[at], entry.row) << i;
        ASSERT_EQ(category[at], entry.category) << i;
      }
    }
  }
}

TEST(SelectTopK, AgreesWithAFullSort) {
  const PyramidGeometry geometry = small_pyramid(2);
  for_each_backend([&](Context& context) {
    for (const int classes : {1, 5, 19}) {
      const std::vector<float> logits = random_logits(geometry.rows() * classes, 41, -2.0);
      const std::vector<float> quality = random_logits(geometry.rows(), 42, 1.0);
      for (const CandidateRule rule :
           {CandidateRule::class_probability, CandidateRule::product, CandidateRule::root_of_product}) {
        expect_selection(context, geometry, logits, quality, classes, {.rule = rule, .threshold = 0.2f, .k = 100});
      }
      expect_selection(context, geometry, logits, {}, classes, {.threshold = 0.05f, .k = 1000});
    }
  });
}

// Probabilities as they are: zeros never pass, nor does the threshold itself, and no digit changes.
TEST(SelectTopK, GivenProbabilities) {
  const PyramidGeometry geometry = small_pyramid(2);
  constexpr int64_t kClasses = 3, kBest = 40;
  std::vector<float> scores = random_logits(geometry.rows() * kClasses, 45, 0.0);
  for (float& score : scores) score = score > 3.5f ? 0.25f : std::max(0.0f, std::min(1.0f, 0.25f * score));
  for_each_backend([&](Context& context) {
    for (const float threshold : {0.0f, 0.25f}) {
      const TopKSelection selection =
          select_top_k(context, Tensor::from_host<float>(context, {geometry.rows(), kClasses}, scores), {}, geometry,
                       {.rule = CandidateRule::given, .threshold = threshold, .k = kBest});
      const std::vector<float> values = selection.values.to_host<float>(context);
      const std::vector<int32_t> rows = selection.rows.to_host<int32_t>(context),
                                 classes = selection.classes.to_host<int32_t>(context),
                                 counts = selection.counts.to_host<int32_t>(context);
      for (int64_t group = 0; group < 2 * geometry.level_count(); ++group) {
        const int64_t level = group % geometry.level_count();
        const int64_t first = geometry.row(level, group / geometry.level_count(), 0, 0) * kClasses;
        std::vector<std::pair<float, int64_t>> expected;
        for (int64_t i = first; i < first + geometry.level(level).cells() * kClasses; ++i) {
          if (scores[static_cast<size_t>(i)] > threshold) expected.emplace_back(-scores[static_cast<size_t>(i)], i);
        }
        std::sort(expected.begin(), expected.end());
        if (expected.size() > kBest) expected.resize(kBest);
        ASSERT_EQ(counts[static_cast<size_t>(group)], static_cast<int32_t>(expected.size()));
        for (size_t i = 0; i < expected.size(); ++i) {
          const size_t at = static_cast<size_t>(group * kBest) + i;
          ASSERT_EQ(values[at], -expected[i].first);
          ASSERT_EQ(rows[at] * kClasses + classes[at], expected[i].second);
        }
      }
    }
  });
}

TEST(SelectTopK, ThresholdsAtTheEnds) {
  const PyramidGeometry geometry = small_pyramid(1);
  const std::vector<float> logits = random_logits(geometry.rows() * 2, 43, 0.0);
  const std::vector<float> quality = random_logits(geometry.rows(), 44, 0.0);
  for_each_backend([&](Context& context) {
    for (const float threshold : {0.0f, 0.5f, 1.0f}) {
      expect_selection(context, geometry, logits, quality, 2, {.threshold = threshold, .k = 50});
    }
  });
}

// Equal values: the earlier row wins, then the lower class. The threshold itself does not pass.
TEST(SelectTopK, TiesAndTheThresholdItself) {
  PyramidGeometry geometry(1);
  geometry.add_level(2, 2, 8);
  for_each_backend([&](Context& context) {
    expect_selection(context, geometry, {1, 1, 1, 1, 1, 1, 1, 2}, {0, 0, 0, 0}, 2, {.threshold = 0.05f, .k = 3});
    expect_selection(context, geometry, {0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0}, 2, {.threshold = 0.5f, .k = 3});
  });
}

TEST(SelectTopK, IgnoresNotANumberAndTakesInfinity) {
  PyramidGeometry geometry(1);
  geometry.add_level(1, 3, 8);
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for_each_backend([&](Context& context) {
    const TopKSelection selection =
        select_top_k(context, Tensor::from_host<float>(context, {3, 1}, std::vector<float>{nan, infinity, -infinity}),
                     {}, geometry, {.k = 3});
    EXPECT_EQ(selection.counts.to_host<int32_t>(context)[0], 1);
    EXPECT_EQ(selection.rows.to_host<int32_t>(context)[0], 1);
    EXPECT_EQ(selection.values.to_host<float>(context)[0], 1.0f);
    const TopKSelection of_quality =
        select_top_k(context, Tensor::from_host<float>(context, {3, 1}, std::vector<float>{3, 2, 1}),
                     Tensor::from_host<float>(context, {3, 1}, std::vector<float>{0, nan, 0}), geometry, {.k = 3});
    EXPECT_EQ(of_quality.counts.to_host<int32_t>(context)[0], 2);
    EXPECT_EQ(of_quality.rows.to_host<int32_t>(context), (std::vector<int32_t>{0, 2, 0}));
  });
}

TEST(SelectTopK, PlansWithoutData) {
  PlanContext context;
  const PyramidGeometry geometry = small_pyramid(2);
  const TopKSelection selection =
      select_top_k(context, Tensor::empty(context, {geometry.rows(), 80}), {}, geometry, {.k = 10});
  EXPECT_EQ(selection.values.shape(), Shape({2, 3, 10}));
}

}  // namespace
}  // namespace tessera
