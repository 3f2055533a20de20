// The whole models on the CUDA kernels: forward pass, losses, gradients, a step of the optimizer and detections on the
// emulator agree with the CPU backend, on device memory that the host cannot follow
// (tests/emulator/closed_allocator.h).
//
// How far may they differ? Both round every sum, each in its own order. What roundings of that size do to the end of a
// network is measured on the CPU alone: the weights are moved in their last bit, and the same numbers come out
// differently. A sum of K terms that is rounded at every addition is off by about sqrt(K) times what one rounding per
// product does; the longest sums here have 9 * 32 terms, so the bound is 17 times that difference. A step of the
// optimizer is a difference of stored weights: one unit in the last place of those comes on top.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "engine/training/sgd.h"
#include "tests/emulator/closed_allocator.h"
#include "tests/models/anchor_free/tiny_yolactr.h"
#include "tests/models/formula_weights.h"
#include "tests/sanitized.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr double kLongestSum = 9 * 32, kLastBit = 0x1p-23;
constexpr int kProbes = 3;

double norm_of_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(sum);
}

// Tensors by name: of one run of one backend.
struct Results {
  std::vector<std::string> names;
  std::vector<std::vector<float>> values;
  std::vector<double> stored;  // Euclidean length of the rounded numbers that the tensor is a difference of, or 0

  void add(const std::string& name, std::vector<float> tensor, double stored_length = 0) {
    names.push_back(name);
    values.push_back(std::move(tensor));
    stored.push_back(stored_length);
  }
};

using Run = std::function<Results(Context&, uint64_t probe)>;

// Every weight times 1 + 2^-23 or 1 - 2^-23, at random; probe 0: as they are.
void move_last_bit(Context& context, const ParameterStore& store, uint64_t probe) {
  if (probe == 0) return;
  Rng rng(5, RandomPurpose::test, 0, probe);
  for (const Parameter& parameter : store.parameters()) {
    std::vector<float> values = parameter.value.to_host<float>(context);
    for (float& value : values) value *= static_cast<float>(rng.uniform() < 0.5f ? 1 + kLastBit : 1 - kLastBit);
    parameter.value.copy_from_host(context, values.data());
  }
}

void expect_agreement(const Run& run) {
  CpuContext cpu(1);
  EmulatedContext emulated({}, make_closed_allocator()),
      shuffled(EmulatorSchedule::shuffled(), make_closed_allocator());
  const Results expected = run(cpu, 0), computed = run(emulated, 0);
  ASSERT_EQ(computed.names, expected.names);
  if (!kAddressSanitized) {
    EXPECT_EQ(run(shuffled, 0).values, computed.values);
  }
  std::vector<double> bounds(expected.names.size(), 0);
  for (uint64_t probe = 1; probe <= kProbes; ++probe) {
    const Results moved = run(cpu, probe);
    for (size_t i = 0; i < bounds.size(); ++i) {
      bounds[i] = std::max(bounds[i], norm_of_difference(moved.values[i], expected.values[i]));
    }
  }
  for (size_t i = 0; i < bounds.size(); ++i) {
    const std::vector<float> zero(expected.values[i].size(), 0.0f);
    const double size = norm_of_difference(expected.values[i], zero);
    const double bound = std::sqrt(kLongestSum) * (bounds[i] + kLastBit * size) + kLastBit * expected.stored[i];
    EXPECT_LE(norm_of_difference(computed.values[i], expected.values[i]), bound)
        << expected.names[i] << " of size " << size;
    EXPECT_TRUE(std::isfinite(size)) << expected.names[i];
  }
}

TrainingBatch two_pictures(Context& context) {
  return painted_batch(context, 64, 64,
                       {{ellipse({4, 6, 40, 50}, 0, 64, 64), ellipse({30, 20, 60, 60}, 1, 64, 64)},
                        {ellipse({20, 8, 60, 56}, 2, 64, 64), ellipse({4, 40, 14, 54}, 1, 64, 64)}});
}

// Losses, gradients, and what a step adds to the weights.
Results train(Context& context, const System& model, ParameterStore& store, Optimizer& optimizer) {
  Results results;
  Tape tape(context);
  const std::vector<NamedLoss> losses = model.losses(tape, two_pictures(context));
  for (const NamedLoss& loss : losses) results.add("loss " + loss.name, loss.value.value.to_host<float>(context));
  tape.backward(total_of(tape, losses));
  for (const Parameter& parameter : store.parameters()) {
    if (parameter.trainable) results.add("gradient of " + parameter.name, parameter.gradient.to_host<float>(context));
  }
  std::vector<std::vector<float>> before;
  for (const Parameter& parameter : store.parameters()) before.push_back(parameter.value.to_host<float>(context));
  optimizer.step(context, 0, 0.01);
  for (size_t at = 0; at < before.size(); ++at) {
    const Parameter& parameter = store.parameters()[at];
    if (!parameter.trainable) continue;
    std::vector<float> step = parameter.value.to_host<float>(context);
    for (size_t i = 0; i < step.size(); ++i) step[i] -= before[at][i];
    const double weights = norm_of_difference(before[at], std::vector<float>(before[at].size(), 0.0f));
    results.add("step of " + parameter.name, std::move(step), weights);
  }
  return results;
}

TEST(EmulatedModel, GridMaskTrains) {
  expect_agreement([](Context& context, uint64_t probe) {
    TinyModel tiny(context);
    move_last_bit(context, tiny.store, probe);
    Sgd optimizer(context, tiny.store, {.clip_norm = 10.0});
    return train(context, tiny.model, tiny.store, optimizer);
  });
}

TEST(EmulatedModel, YolactrTrains) {
  expect_agreement([](Context& context, uint64_t probe) {
    TinyYolactr tiny(context);
    tiny.open_gates(context);
    move_last_bit(context, tiny.store, probe);
    Sgd optimizer(context, tiny.store, {.clip_norm = 10.0});
    return train(context, tiny.model, tiny.store, optimizer);
  });
}

Results detect(Context& context, const System& model, const Tensor& images,
               const std::vector<ImageGeometry>& geometry) {
  Results results;
  Tape tape(context, Tape::Mode::forward);
  const std::vector<std::vector<Detection>> detections = model.detect(tape, images, geometry);
  for (size_t image = 0; image < detections.size(); ++image) {
    std::vector<float> scores, boxes, labels, pixels;
    for (const Detection& detection : detections[image]) {
      scores.push_back(detection.score);
      boxes.insert(boxes.end(), {detection.box.x1, detection.box.y1, detection.box.x2, detection.box.y2});
      labels.push_back(static_cast<float>(detection.label));
      const BitMask& mask = detection.mask;
      const size_t first = pixels.size();
      const auto height = static_cast<size_t>(geometry[image].original_height),
                 width = static_cast<size_t>(geometry[image].original_width);
      pixels.resize(first + height * width, 0.0f);
      for (int y = 0; y < mask.height; ++y) {
        for (int x = 0; x < mask.width; ++x) {
          const size_t at = static_cast<size_t>(mask.y + y) * width + static_cast<size_t>(mask.x + x);
          pixels[first + at] = mask.at(y, x) ? 1.0f : 0.0f;
        }
      }
    }
    EXPECT_GT(scores.size(), 3u) << "too little is found to compare";
    const std::string where = fmt::format(" of {} in picture {}", scores.size(), image);
    results.add("scores" + where, scores);
    results.add("boxes" + where, boxes);
    results.add("labels" + where, labels);
    results.add("masks" + where, pixels);
  }
  return results;
}

const std::vector<ImageGeometry> kGeometry = {{73, 50, 64, 44}, {128, 128, 64, 64}};

TEST(EmulatedModel, GridMaskDetects) {
  expect_agreement([](Context& context, uint64_t probe) {
    TinyModel tiny(context, tiny_config(), false);
    set_formula_weights(context, tiny.store);
    move_last_bit(context, tiny.store, probe);
    return detect(context, tiny.model, two_pictures(context).images, kGeometry);
  });
}

TEST(EmulatedModel, YolactrDetects) {
  for (const MaskSuppression suppression : {MaskSuppression::matrix_gaussian, MaskSuppression::mask}) {
    expect_agreement([&](Context& context, uint64_t probe) {
      ModelConfig config = tiny_yolactr_config();
      config.anchor_free.suppression = suppression;
      TinyYolactr tiny(context, config, false);
      tiny.open_gates(context);
      // Scores and masks far from the prior.
      for (const char* name : {"prediction.class_logits.weight", "prediction.kernel.weight"}) {
        const Parameter& parameter = *tiny.store.find(name);
        std::vector<float> values = parameter.value.to_host<float>(context);
        for (float& value : values) value *= 30;
        parameter.value.copy_from_host(context, values.data());
      }
      move_last_bit(context, tiny.store, probe);
      return detect(context, tiny.model, two_pictures(context).images, kGeometry);
    });
  }
}

}  // namespace
}  // namespace tessera
