// An anchor-free YOLACTR small enough for tests: about 100,000 parameters.
#pragma once

#include "models/anchor_free_yolactr.h"
#include "tests/models/tiny_model.h"

namespace tessera::testing_support {

inline ModelConfig tiny_yolactr_config() {
  ModelConfig config;
  config.system = "anchor_free_yolactr";
  config.classes = 3;
  config.backbone = resnet_preset("basic");
  config.backbone.blocks = {1, 1, 1, 1};
  config.backbone.channels = {8, 8, 16, 16};
  config.backbone.stem_channels = 8;
  config.backbone.norm.groups = 4;
  config.fpn.channels = 32;
  AnchorFreeConfig& model = config.anchor_free;
  model.norm_groups = 4;
  model.layers = 1;
  model.grids = {8, 6, 4, 3, 2};
  model.ranges = {{1, 24}, {12, 48}, {24, 96}, {48, 192}, {96, 9999}};
  model.mask_channels = 16;
  model.kernel_channels = 16;
  model.least_areas = {0, 0, 0, 0, 0};
  return config;
}

struct TinyYolactr {
  explicit TinyYolactr(Context& context, const ModelConfig& config = tiny_yolactr_config(), bool training = true)
      : model(config, store) {
    store.allocate(context, 1, training);
  }
  // ReZero starts with gates of 0, behind which nothing learns: other values for tests of the whole.
  void open_gates(Context& context) const {
    float value = 0.2f;
    for (const Parameter& parameter : store.parameters()) {
      if (parameter.name.find(".gate.") == std::string::npos) continue;
      parameter.value.copy_from_host(context, &value);
      value = -value + 0.1f;
    }
  }
  ParameterStore store;
  AnchorFreeYolactr model;
};

}  // namespace tessera::testing_support
