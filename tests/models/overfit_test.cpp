// The whole chain learns: one picture is fitted until the segmentation loss is near its floor of 0.0134 (spec
// section 10.10) and the detections are the objects.
#include <gtest/gtest.h>

#include "engine/training/sgd.h"
#include "tests/models/one_picture.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Overfit, OnePicture) {
  CpuContext context(1);
  ModelConfig config = tiny_config();
  config.gridmask.dim = 8;
  TinyModel tiny(context, config);
  const TrainingBatch batch = painted_batch(context, 64, 64, {overlapping_pair()});
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
  EXPECT_GT(mask_ap50(found, batch.targets[0].objects, 64, 64), 0.95);
}

}  // namespace
}  // namespace tessera
