// A GridMask + FCOS small enough for tests: five levels from stride 4 on, about 20,000 parameters.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "engine/core/rng.h"
#include "engine/ops/add.h"
#include "models/gridmask_fcos.h"

namespace tessera::testing_support {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.classes = 3;
  config.backbone = resnet_preset("basic");
  config.backbone.blocks = {1, 1, 1};
  config.backbone.channels = {8, 16, 16};
  config.backbone.stem_channels = 8;
  config.backbone.norm.groups = 4;
  config.fpn = {.channels = 16, .first_level = 2};
  config.fcos.tower_convs = 1;
  config.fcos.norm_groups = 4;
  config.fcos.range_scale = 0.25f;
  config.gridmask.dim = 4;
  config.gridmask.pixel_channels = 16;
  config.gridmask.pixel_norm.groups = 4;
  config.gridmask.hidden_convs = 1;
  config.gridmask.norm_groups = 4;
  config.gridmask.train_stride = 2;
  return config;
}

// A model with its parameters, initialised from seed 1.
struct TinyModel {
  explicit TinyModel(Context& context, const ModelConfig& config = tiny_config(), bool training = true)
      : model(config, store) {
    store.allocate(context, 1, training);
  }
  ParameterStore store;
  GridMaskFcos model;
};

// An ellipse inside the box, of a picture of the given size.
inline ObjectTarget ellipse(const Box& box, int label, int height, int width) {
  ObjectTarget object{box, label, {height, width, std::vector<uint8_t>(static_cast<size_t>(height * width), 0)}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float dx = (static_cast<float>(x) + 0.5f - (box.x1 + box.x2) / 2) / (box.width() / 2);
      const float dy = (static_cast<float>(y) + 0.5f - (box.y1 + box.y2) / 2) / (box.height() / 2);
      object.mask.pixels[static_cast<size_t>(y * width + x)] = dx * dx + dy * dy <= 1 ? 1 : 0;
    }
  }
  return object;
}

// Pictures of the size of the batch with objects painted in one colour per class over a noisy ground.
inline TrainingBatch painted_batch(Context& context, int height, int width,
                                   const std::vector<std::vector<ObjectTarget>>& objects) {
  TrainingBatch batch;
  batch.seed = 3;
  const int64_t count = static_cast<int64_t>(objects.size());
  std::vector<float> pixels(static_cast<size_t>(count * height * width * 3));
  Rng rng(11, RandomPurpose::test);
  for (float& value : pixels) value = 0.2f * rng.normal();
  for (size_t image = 0; image < objects.size(); ++image) {
    batch.targets.push_back({static_cast<int64_t>(image), height, width, objects[image]});
    for (const ObjectTarget& object : objects[image]) {
      for (size_t i = 0; i < object.mask.pixels.size(); ++i) {
        if (object.mask.pixels[i] == 0) continue;
        const size_t at = (image * static_cast<size_t>(height * width) + i) * 3;
        for (size_t c = 0; c < 3; ++c) pixels[at + c] += static_cast<int>(c) == object.label % 3 ? 2.0f : -1.0f;
      }
    }
  }
  batch.images = Tensor::from_host<float>(context, {count, height, width, 3}, pixels);
  return batch;
}

inline Variable total_of(Tape& tape, const std::vector<NamedLoss>& losses) {
  Variable total = losses.at(0).value;
  for (size_t i = 1; i < losses.size(); ++i) total = add(tape, total, losses[i].value);
  return total;
}

inline float scalar(Context& context, const Variable& value) { return value.value.to_host<float>(context).at(0); }

}  // namespace tessera::testing_support
