// The whole chain learns: one picture is fitted until the segmentation loss is near its floor of 0.0134 (spec
// section 10.10) and the detections are the objects.
#include <gtest/gtest.h>

#include "engine/training/sgd.h"
#include "tests/models/tiny_model.h"

namespace tessera {
namespace {

using namespace testing_support;

double mask_iou(const Detection& detection, const Bitmap& truth) {
  int64_t both = 0, either = 0;
  for (int y = 0; y < truth.height; ++y) {
    for (int x = 0; x < truth.width; ++x) {
      const int row = y - detection.mask.y, column = x - detection.mask.x;
      const bool inside = row >= 0 && column >= 0 && row < detection.mask.height && column < detection.mask.width;
      const bool found = inside && detection.mask.at(row, column);
      both += found && truth.at(y, x);
      either += found || truth.at(y, x);
    }
  }
  return static_cast<double>(both) / static_cast<double>(std::max<int64_t>(either, 1));
}

TEST(Overfit, OnePicture) {
  CpuContext context(1);
  ModelConfig config = tiny_config();
  config.gridmask.dim = 8;
  TinyModel tiny(context, config);
  // Two objects overlap: the hidden part belongs to the one in front.
  ObjectTarget behind = ellipse({6, 8, 38, 44}, 0, 64, 64);
  const ObjectTarget front = ellipse({24, 26, 58, 60}, 1, 64, 64);
  for (size_t i = 0; i < behind.mask.pixels.size(); ++i) {
    if (front.mask.pixels[i]) behind.mask.pixels[i] = 0;
  }
  const TrainingBatch batch = painted_batch(context, 64, 64, {{behind, front}});
  Sgd optimizer(context, tiny.store, {.clip_norm = 10.0});
  float segmentation = 0;
  int iteration = 0;
  for (; iteration < 1000; ++iteration) {
    Tape tape(context);
    const std::vector<NamedLoss> losses = tiny.model.losses(tape, batch);
    segmentation = scalar(context, losses.at(3).value);
    if (segmentation < 0.04f && iteration >= 150) break;
    tape.backward(total_of(tape, losses));
    optimizer.step(context, iteration, 0.02 * std::min(1.0, (iteration + 1) / 50.0));
    tiny.store.zero_gradients(context);
  }
  EXPECT_LT(segmentation, 0.05f) << "after " << iteration << " iterations";

  Tape tape(context, Tape::Mode::forward);
  const std::vector<Detection> found = tiny.model.detect(tape, batch.images, {{64, 64, 64, 64}}).at(0);
  ASSERT_GE(found.size(), 2u);
  for (const ObjectTarget& object : batch.targets[0].objects) {
    double best = 0;
    for (size_t i = 0; i < 2; ++i) {
      if (found[i].label == object.label) best = std::max(best, mask_iou(found[i], object.mask));
    }
    EXPECT_GT(best, 0.8) << "class " << object.label;
  }
}

}  // namespace
}  // namespace tessera
