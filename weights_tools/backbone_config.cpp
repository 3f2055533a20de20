#include "weights_tools/backbone_config.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine/core/error.h"

namespace tessera {

BackboneDescription describe_backbone(const std::vector<MappedTensor>& tensors) {
  std::unordered_map<std::string, const std::vector<int64_t>*> shapes;
  for (const MappedTensor& tensor : tensors) shapes.emplace(tensor.name, &tensor.shape);
  const auto shape_of = [&](int stage, int64_t block, const char* conv) -> const std::vector<int64_t>* {
    const auto found = shapes.find(fmt::format("backbone.bottom_up.res{}.{}.{}.weight", stage, block, conv));
    return found == shapes.end() || found->second->size() != 4 ? nullptr : found->second;
  };
  const std::vector<int64_t>* first = shape_of(2, 0, "conv2");
  const auto stem = shapes.find("backbone.bottom_up.stem.conv1.weight");
  if (first == nullptr || stem == shapes.end() || stem->second->empty()) return {"", "{}"};

  const bool bottleneck = shape_of(2, 0, "conv3") != nullptr;
  std::vector<int64_t> blocks, channels;
  for (int stage = 2; stage <= 5; ++stage) {
    int64_t count = 0;
    while (shape_of(stage, count, "conv1") != nullptr) ++count;
    const std::vector<int64_t>* last = shape_of(stage, 0, bottleneck ? "conv3" : "conv2");
    if (count == 0 || last == nullptr) break;
    blocks.push_back(count);
    channels.push_back((*last)[0]);
  }
  const int64_t groups = bottleneck && (*first)[3] > 0 ? (*first)[0] / (*first)[3] : 1;
  const int64_t width = groups > 0 ? (*first)[0] / groups : 0;

  const std::vector<int64_t> r50 = {3, 4, 6, 3}, r101 = {3, 4, 23, 3};
  const bool usual = bottleneck && channels == std::vector<int64_t>{256, 512, 1024, 2048} && (*stem->second)[0] == 64;
  std::string preset;
  if (usual && groups == 1 && width == 64 && blocks == r50) preset = "r50";
  if (usual && groups == 1 && width == 64 && blocks == r101) preset = "r101";
  if (usual && groups == 32 && width == 8 && blocks == r101) preset = "x101_32x8d";
  if (usual && groups == 64 && width == 4 && blocks == r101) preset = "x101_64x4d";
  nlohmann::ordered_json config;
  if (!preset.empty()) {
    config["model.backbone.preset"] = preset;
    return {preset, config.dump()};
  }
  config["model.backbone.preset"] = bottleneck ? "r50" : "basic";
  config["model.backbone.blocks"] = blocks;
  config["model.backbone.channels"] = channels;
  config["model.backbone.stem_channels"] = (*stem->second)[0];
  if (bottleneck) {
    config["model.backbone.groups"] = groups;
    config["model.backbone.width_per_group"] = width;
  }
  if (shapes.contains("backbone.bottom_up.stem.conv1.norm.running_mean")) config["model.backbone.norm"] = "frozen_bn";
  return {"", config.dump()};
}

}  // namespace tessera
