// The planner beside the run it plans: what `tessera model info` says a training step keeps for backward is what the
// allocator counts on a real device after a real forward pass.
#include "apps/model_cost.h"

#include <gtest/gtest.h>

#include "models/registry.h"
#include "tests/models/anchor_free/tiny_yolactr.h"

namespace tessera {
namespace {

using namespace testing_support;

// Bytes that live between forward and backward, beyond parameters, gradients, the pictures and the outputs' own values.
int64_t measured_saved_bytes(const ModelConfig& config, int batch, int height, int width) {
  CpuContext context(2);
  ParameterStore store;
  const std::unique_ptr<System> system = make_system(config, store);
  store.allocate(context, 1, true);
  const std::vector<float> pixels(static_cast<size_t>(batch * height * width * 3), 0.5f);
  const Tensor images = Tensor::from_host<float>(context, {batch, height, width, 3}, pixels);
  const size_t before = context.allocator()->statistics().live;
  Tape tape(context);
  system->forward(tape, images);
  return static_cast<int64_t>(context.allocator()->statistics().live - before);
}

void expect_planned(const ModelConfig& config, int batch, int height, int width) {
  const auto planned = static_cast<double>(model_cost(config, batch, height, width).saved_bytes);
  const auto measured = static_cast<double>(measured_saved_bytes(config, batch, height, width));
  EXPECT_GT(planned, 100'000);
  EXPECT_NEAR(measured / planned, 1.0, 0.05) << "planned " << planned << ", measured " << measured;
}

TEST(ModelCost, YolactrKeepsWhatIsPlanned) {
  ModelConfig config = tiny_yolactr_config();
  config.anchor_free.layers = 6;
  expect_planned(config, 2, 128, 96);
  config.anchor_free.block = TransformerBlock::preln_mlp;
  expect_planned(config, 1, 64, 64);
  config.anchor_free.recompute = true;
  expect_planned(config, 1, 64, 64);
}

TEST(ModelCost, GridMaskKeepsWhatIsPlanned) { expect_planned(tiny_config(), 2, 96, 128); }

TEST(ModelCost, PaddedToTheDivisorOfTheModel) {
  EXPECT_EQ(model_cost(tiny_config(), 1, 97, 65).macs, model_cost(tiny_config(), 1, 128, 96).macs);
}

}  // namespace
}  // namespace tessera
