// The state dict of a small FCOS as torchvision names it, with values by formula.
#pragma once

#include <fmt/format.h>

#include "tests/weights_tools/file_builders.h"

namespace tessera::testing_support {

inline float value_of(size_t tensor, int64_t element) {
  return static_cast<float>((static_cast<int64_t>(tensor) * 7919 + element * 104729) % 2003) / 2003.0f;
}

// Bottlenecks of width 4, one per stage; a pyramid of 8 channels, towers of four convolutions.
inline std::vector<NamedFloats> small_fcos(int64_t classes) {
  std::vector<NamedFloats> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t elements = 1;
    for (const int64_t extent : shape) elements *= extent;
    std::vector<float> values;
    for (int64_t i = 0; i < elements; ++i) values.push_back(value_of(tensors.size(), i));
    tensors.push_back({name, std::move(shape), std::move(values)});
  };
  const auto norm = [&](const std::string& name, int64_t channels) {
    for (const char* part : {"weight", "bias", "running_mean", "running_var"}) add(name + "." + part, {channels});
  };
  const auto conv = [&](const std::string& name, int64_t out, int64_t in, int64_t window) {
    add(name + ".weight", {out, in, window, window});
    add(name + ".bias", {out});
  };
  add("backbone.body.conv1.weight", {6, 3, 7, 7});
  norm("backbone.body.bn1", 6);
  int64_t in = 6;
  for (int64_t stage = 1; stage <= 4; ++stage) {
    const int64_t middle = int64_t{4} << (stage - 1), out = 4 * middle;
    const std::string name = fmt::format("backbone.body.layer{}.0.", stage);
    add(name + "conv1.weight", {middle, in, 1, 1});
    norm(name + "bn1", middle);
    add(name + "conv2.weight", {middle, middle, 3, 3});
    norm(name + "bn2", middle);
    add(name + "conv3.weight", {out, middle, 1, 1});
    norm(name + "bn3", out);
    add(name + "downsample.0.weight", {out, in, 1, 1});
    norm(name + "downsample.1", out);
    in = out;
  }
  for (int64_t i = 0; i < 3; ++i) {
    conv(fmt::format("backbone.fpn.inner_blocks.{}.0", i), 8, 32 << i, 1);
    conv(fmt::format("backbone.fpn.layer_blocks.{}.0", i), 8, 8, 3);
  }
  conv("backbone.fpn.extra_blocks.p6", 8, 8, 3);
  conv("backbone.fpn.extra_blocks.p7", 8, 8, 3);
  for (const char* head : {"classification_head", "regression_head"}) {
    for (int64_t i = 0; i < 4; ++i) {
      conv(fmt::format("head.{}.conv.{}", head, 3 * i), 8, 8, 3);
      add(fmt::format("head.{}.conv.{}.weight", head, 3 * i + 1), {8});
      add(fmt::format("head.{}.conv.{}.bias", head, 3 * i + 1), {8});
    }
  }
  conv("head.classification_head.cls_logits", classes, 8, 3);
  conv("head.regression_head.bbox_reg", 4, 8, 3);
  conv("head.regression_head.bbox_ctrness", 1, 8, 3);
  return tensors;
}

inline const std::vector<std::string> kSmall = {"model.fpn.channels=8", "model.norm_groups=2"};

}  // namespace tessera::testing_support
