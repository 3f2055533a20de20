#include "engine/ops/nms.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/nms.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::ScoredBox;

Candidates upload(Context& context, const std::vector<std::vector<ScoredBox>>& images, int64_t capacity) {
  const auto count = static_cast<int64_t>(images.size());
  const auto slots = static_cast<size_t>(count * capacity);
  std::vector<float> boxes(4 * slots), scores(slots);
  std::vector<int32_t> classes(slots), rows(slots), counts;
  for (size_t image = 0; image < images.size(); ++image) {
    for (size_t i = 0; i < images[image].size(); ++i) {
      const ScoredBox& box = images[image][i];
      const size_t at = image * static_cast<size_t>(capacity) + i;
      boxes[4 * at] = static_cast<float>(box.x1);
      boxes[4 * at + 1] = static_cast<float>(box.y1);
      boxes[4 * at + 2] = static_cast<float>(box.x2);
      boxes[4 * at + 3] = static_cast<float>(box.y2);
      scores[at] = static_cast<float>(box.score);
      classes[at] = box.category;
      rows[at] = box.row;
    }
    counts.push_back(static_cast<int32_t>(images[image].size()));
  }
  return {Tensor::from_host<float>(context, {count, capacity, 4}, boxes),
          Tensor::from_host<float>(context, {count, capacity}, scores),
          Tensor::from_host<int32_t>(context, {count, capacity}, classes),
          Tensor::from_host<int32_t>(context, {count, capacity}, rows),
          Tensor::from_host<int32_t>(context, {count}, counts)};
}

void expect_kept(Context& context, const std::vector<std::vector<ScoredBox>>& images, const NmsOptions& options) {
  size_t capacity = 1;
  for (const auto& boxes : images) capacity = std::max(capacity, boxes.size());
  const Candidates kept = nms(context, upload(context, images, static_cast<int64_t>(capacity)), options);
  const std::vector<float> boxes = kept.boxes.to_host<float>(context), scores = kept.scores.to_host<float>(context);
  const std::vector<int32_t> rows = kept.rows.to_host<int32_t>(context);
  const std::vector<int32_t> classes = kept.classes.to_host<int32_t>(context);
  const std::vector<int32_t> counts = kept.counts.to_host<int32_t>(context);
  ASSERT_EQ(kept.capacity(), options.capacity);
  for (size_t image = 0; image < images.size(); ++image) {
    const std::vector<ScoredBox> expected = reference::nms(images[image], options.iou_threshold,
                                                           static_cast<size_t>(options.capacity), options.class_aware);
    ASSERT_EQ(counts[image], static_cast<int32_t>(expected.size()));
    for (size_t i = 0; i < static_cast<size_t>(options.capacity); ++i) {
      const size_t at = image * static_cast<size_t>(options.capacity) + i;
      const ScoredBox entry = i < expected.size() ? expected[i] : ScoredBox{0, 0, 0, 0, 0, 0, 0};
      ASSERT_EQ(rows[at], entry.row) << "image " << image << " place " << i;
      ASSERT_EQ(classes[at], entry.category);
      ASSERT_EQ(scores[at], static_cast<float>(entry.score));
      ASSERT_EQ(boxes[4 * at + 2], static_cast<float>(entry.x2));
    }
  }
}

std::vector<ScoredBox> random_boxes(int count, uint64_t sample, int classes) {
  Rng rng(3, RandomPurpose::test, 1, sample);
  std::vector<ScoredBox> boxes;
  for (int i = 0; i < count; ++i) {
    const float x = rng.uniform(0, 100), y = rng.uniform(0, 100);
    // Few distinct scores: ties everywhere.
    boxes.push_back({x, y, x + rng.uniform(5, 60), y + rng.uniform(5, 60), static_cast<float>(rng.below(40)) / 64,
                     static_cast<int>(rng.below(static_cast<uint32_t>(classes))), count - i});
  }
  return boxes;
}

TEST(Nms, AgreesWithAllPairs) {
  for_each_backend([&](Context& context) {
    for (const int classes : {1, 3}) {
      const std::vector<std::vector<ScoredBox>> images{random_boxes(700, 1, classes), {}, random_boxes(33, 2, classes)};
      for (const float threshold : {0.3f, 0.6f, 1.0f}) {
        for (const bool class_aware : {true, false}) {
          expect_kept(context, images, {threshold, 1000, class_aware});
          expect_kept(context, images, {threshold, 10, class_aware});
        }
      }
    }
  });
}

TEST(Nms, OverlapOfExactlyTheThresholdStays) {
  for_each_backend([&](Context& context) {
    const std::vector<ScoredBox> halves{{0, 0, 4, 4, .9, 0, 1}, {0, 0, 4, 2, .8, 0, 2}, {0, 0, 4, 2.5, .7, 0, 3}};
    expect_kept(context, {halves}, {0.5f, 3, true});
    const Candidates kept = nms(context, upload(context, {halves}, 3), {0.5f, 3, true});
    EXPECT_EQ(kept.counts.to_host<int32_t>(context)[0], 2);
  });
}

TEST(Nms, EmptyBoxesAndScoresThatAreNoNumbers) {
  for_each_backend([&](Context& context) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::vector<ScoredBox> boxes{{5, 5, 5, 5, .5, 0, 1}, {5, 5, 5, 5, .4, 0, 2}, {0, 0, 9, 9, nan, 0, 3}};
    const Candidates kept = nms(context, upload(context, {boxes}, 3), {0.5f, 5, true});
    EXPECT_EQ(kept.rows.to_host<int32_t>(context), (std::vector<int32_t>{1, 2, 0, 0, 0}));
    EXPECT_EQ(kept.counts.to_host<int32_t>(context)[0], 2);
  });
}

}  // namespace
}  // namespace tessera
