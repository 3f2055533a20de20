// Recorded inference of both systems on the emulated device, whose memory the host cannot follow: what comes out of a
// replay is what a direct run gives, to the bit.
#include "models/inference.h"

#include <gtest/gtest.h>

#include <new>

#include "engine/core/precision.h"
#include "tests/emulator/closed_allocator.h"
#include "tests/models/anchor_free/tiny_yolactr.h"
#include "tests/models/formula_weights.h"
#include "tests/sanitized.h"

namespace tessera {
namespace {

using namespace testing_support;

using Found = std::vector<std::vector<Detection>>;

std::vector<float> picture(const Shape& shape, uint64_t sample) {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  Rng rng(6, RandomPurpose::test, 0, sample);
  for (float& value : values) value = rng.normal() + (rng.below(50) == 0 ? 4.0f : 0.0f);
  return values;
}

void expect_equal(const Found& found, const Found& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t image = 0; image < found.size(); ++image) {
    ASSERT_EQ(found[image].size(), expected[image].size());
    for (size_t i = 0; i < found[image].size(); ++i) {
      const Detection &a = found[image][i], &b = expected[image][i];
      EXPECT_EQ(a.score, b.score);
      EXPECT_EQ(a.label, b.label);
      EXPECT_EQ(std::tie(a.box.x1, a.box.y1, a.box.x2, a.box.y2), std::tie(b.box.x1, b.box.y1, b.box.x2, b.box.y2));
      EXPECT_EQ(a.has_mask, b.has_mask);
      EXPECT_EQ(std::tie(a.mask.x, a.mask.y, a.mask.width, a.mask.height),
                std::tie(b.mask.x, b.mask.y, b.mask.width, b.mask.height));
      EXPECT_EQ(a.mask.bits, b.mask.bits);
    }
  }
}

struct Pictures {
  Shape shape;
  std::vector<ImageGeometry> geometry;
};

const Pictures kOne = {{1, 64, 64, 3}, {{73, 50, 64, 44}}};
const Pictures kTwo = {{2, 64, 64, 3}, {{73, 50, 64, 44}, {128, 128, 64, 64}}};

// Two pictures after the two of the recording, each of them different; one of them under AddressSanitizer.
void expect_replays(Context& context, const System& system, const Pictures& pictures) {
  Inference direct(context, system), recorded(context, system, {.graph = true});
  size_t objects = 0;
  for (uint64_t sample = 1; sample <= (kAddressSanitized ? 3 : 4); ++sample) {
    const std::vector<float> values = picture(pictures.shape, sample);
    const Found expected = direct.detect(values, pictures.shape, pictures.geometry);
    expect_equal(recorded.detect(values, pictures.shape, pictures.geometry), expected);
    EXPECT_EQ(direct.launches(), 0);
    EXPECT_EQ(recorded.launches() > 0, sample > 2);
    for (const auto& of_image : expected) objects += of_image.size();
  }
  EXPECT_EQ(recorded.graphs(), 1u);
  EXPECT_GT(objects, 10u) << "too little is found to compare";
  EXPECT_EQ(context.allocator()->statistics().by_name.at("graph").live, recorded.kept_bytes());
}

// GridMask with weights under which something is found.
struct GridMask {
  explicit GridMask(Context& context) : tiny(context, tiny_config(), false) {
    set_formula_weights(context, tiny.store);
  }
  TinyModel tiny;
};

TEST(Inference, GridMaskReplaysToTheBit) {
  for (const bool shuffled : {false, true}) {
    EmulatedContext context(shuffled ? EmulatorSchedule::shuffled() : EmulatorSchedule::forward(),
                            make_closed_allocator());
    const GridMask made(context);
    expect_replays(context, made.tiny.model, shuffled ? kOne : kTwo);
  }
}

TEST(Inference, YolactrReplaysToTheBit) {
  for (const MaskSuppression suppression : {MaskSuppression::matrix_gaussian, MaskSuppression::mask}) {
    EmulatedContext context({}, make_closed_allocator());
    ModelConfig config = tiny_yolactr_config();
    config.anchor_free.suppression = suppression;
    config.anchor_free.coord_conv = true;
    TinyYolactr tiny(context, config, false);
    tiny.open_gates(context);
    for (const char* name : {"prediction.class_logits.weight", "prediction.kernel.weight"}) {
      const Parameter& parameter = *tiny.store.find(name);
      std::vector<float> values = parameter.value.to_host<float>(context);
      for (float& value : values) value *= 30;
      parameter.value.copy_from_host(context, values.data());
    }
    expect_replays(context, tiny.model, kAddressSanitized || suppression == MaskSuppression::mask ? kOne : kTwo);
  }
}

// Sizes in turn share memory; weights and precision may change.
TEST(Inference, SizesWeightsAndPrecisionsInTurn) {
  EmulatedContext context({}, make_closed_allocator());
  const GridMask made(context);
  const System& system = made.tiny.model;
  Inference direct(context, system), recorded(context, system, {.graph = true, .most_graphs = 2});
  const Shape small = {1, 32, 64, 3};
  const auto expect_same = [&](uint64_t sample, const Shape& shape, const std::vector<ImageGeometry>& geometry,
                               bool replayed) {
    const std::vector<float> values = picture(shape, sample);
    expect_equal(recorded.detect(values, shape, geometry), direct.detect(values, shape, geometry));
    EXPECT_EQ(recorded.launches() > 0, replayed) << sample;
  };
  const std::vector<ImageGeometry> one = {{32, 64, 32, 64}}, other = {{16, 32, 32, 64}};
  for (uint64_t round = 0; round < 3; ++round) {
    expect_same(3 * round, small, one, round == 2);
    expect_same(3 * round + 1, small, other, round == 2);
  }
  const size_t kept = recorded.kept_bytes();
  EXPECT_EQ(recorded.graphs(), 2u);

  const Parameter& parameter = *made.tiny.store.find("proposal_generator.fcos_head.cls_logits.weight");
  std::vector<float> weights = parameter.value.to_host<float>(context);
  for (float& weight : weights) weight *= -0.5f;
  parameter.value.copy_from_host(context, weights.data());
  expect_same(20, small, one, true);
  expect_same(21, small, other, true);

  set_precision(context, ConvMath::bf16);
  for (uint64_t round = 0; round < 3; ++round) expect_same(30 + round, small, one, round == 2);
  // The graph used least recently is gone, the other one is still right.
  EXPECT_EQ(recorded.graphs(), 2u);
  set_precision(context, ConvMath::fp32);
  expect_same(40, small, other, true);
  expect_same(41, small, one, false);
  EXPECT_GE(recorded.kept_bytes(), kept);
}

// Memory that ends after so many bytes.
class SmallMemory final : public Allocator {
 public:
  explicit SmallMemory(size_t most) : most_(most) {}

 protected:
  void* take(size_t bytes) override {
    if (statistics().live + bytes > most_) throw std::bad_alloc();
    return ::operator new(bytes, std::align_val_t(64));
  }
  void give_back(void* block, size_t) noexcept override { ::operator delete(block, std::align_val_t(64)); }

 private:
  size_t most_;
};

TEST(Inference, WithoutMemoryForARecordingItRunsDirectly) {
  const Shape shape = {1, 64, 64, 3};
  const std::vector<ImageGeometry> geometry = {{64, 64, 64, 64}};
  size_t needed = 0;
  {
    EmulatedContext context;
    const GridMask made(context);
    Inference inference(context, made.tiny.model);
    // The second run begins with the tables of the first.
    for (int round = 0; round < 2; ++round) inference.detect(picture(shape, 1), shape, geometry);
    needed = context.allocator()->statistics().peak;
  }
  EmulatedContext context({}, std::make_shared<SmallMemory>(needed));
  const GridMask made(context);
  Inference inference(context, made.tiny.model, {.graph = true});
  const Found first = inference.detect(picture(shape, 1), shape, geometry);
  for (int round = 0; round < 3; ++round) {
    expect_equal(inference.detect(picture(shape, 1), shape, geometry), first);
    EXPECT_EQ(inference.launches(), 0);
  }
  EXPECT_EQ(inference.kept_bytes(), 0u);
}

TEST(Inference, TheCpuRecordsNothing) {
  CpuContext context(1);
  const TinyModel tiny(context);
  try {
    Inference(context, tiny.model, {.graph = true});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.hint()).find("--graph off"), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera
