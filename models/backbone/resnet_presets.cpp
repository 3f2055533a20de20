#include "models/backbone/resnet.h"

namespace tessera {

const std::vector<std::string>& resnet_preset_names() {
  static const std::vector<std::string> names = {"r50", "r101", "x101_64x4d", "x101_32x8d", "basic"};
  return names;
}

ResNetConfig resnet_preset(std::string_view name) {
  ResNetConfig config;
  if (name == "r50") return config;
  if (name == "basic") {
    config.block = ResNetConfig::Block::basic;
    config.blocks = {2, 2, 2};
    config.channels = {32, 64, 128};
    config.stem_channels = 32;
    config.norm = {.kind = NormKind::gn, .groups = 16};
    config.freeze_at = 0;
    return config;
  }
  config.blocks = {3, 4, 23, 3};
  if (name == "r101") return config;
  config.stride_in_1x1 = false;
  if (name == "x101_64x4d") {
    config.groups = 64;
    config.width_per_group = 4;
    return config;
  }
  if (name == "x101_32x8d") {
    config.groups = 32;
    config.width_per_group = 8;
    return config;
  }
  throw Error(ExitCode::usage, fmt::format("backbone '{}' is not known", name),
              "one of r50, r101, x101_64x4d, x101_32x8d, basic");
}

}  // namespace tessera
