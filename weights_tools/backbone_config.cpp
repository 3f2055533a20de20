#include "weights_tools/backbone_config.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace tessera {

namespace {

constexpr int kFirstStage = 2, kLastStage = 5;
constexpr int64_t kMostBlocks = 200;  // of a stage, as in model.backbone.blocks

// res2 to res5: blocks up to the last that has any tensor, and the weights of convolutions by their name in a block. A
// block that lacks some is not there for its convolutions, but counts: the file is then incomplete, not shallower.
struct Stage {
  int64_t blocks = 0;
  std::map<std::string, const std::vector<int64_t>*> convs;
};

int64_t number(const std::string& digits) {
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::map<int64_t, Stage> stages_of(const std::vector<MappedTensor>& tensors) {
  constexpr const char* kName = "backbone.bottom_up.res{n}.{b}.{*}";
  const NamePattern stage_number(kName, "{n}"), block_number(kName, "{b}"), rest(kName, "{*}");
  std::map<int64_t, Stage> stages;
  for (const MappedTensor& tensor : tensors) {
    const std::optional<std::string> stage = stage_number.apply(tensor.name);
    if (!stage) continue;
    Stage& entry = stages[number(*stage)];
    entry.blocks = std::clamp(number(*block_number.apply(tensor.name)) + 1, entry.blocks, kMostBlocks);
    const std::string part = *rest.apply(tensor.name);
    if (tensor.shape.size() == 4 && part.ends_with(".weight"))
      entry.convs.emplace(part.substr(0, part.find('.')), &tensor.shape);
  }
  return stages;
}

const std::vector<int64_t>* find(const Stage& stage, const std::string& conv) {
  const auto found = stage.convs.find(conv);
  return found == stage.convs.end() ? nullptr : found->second;
}

}  // namespace

BackboneDescription describe_backbone(const std::vector<MappedTensor>& tensors) {
  std::map<int64_t, Stage> stages = stages_of(tensors);
  const auto stem = std::ranges::find(tensors, "backbone.bottom_up.stem.conv1.weight", &MappedTensor::name);
  const std::vector<int64_t>* first = find(stages[kFirstStage], "conv2");
  if (first == nullptr || stem == tensors.end() || stem->shape.empty()) return {"", "", "{}"};

  const bool bottleneck =
      std::ranges::any_of(stages, [](const auto& stage) { return find(stage.second, "conv3") != nullptr; });
  const std::vector<int64_t> r50 = {3, 4, 6, 3}, r101 = {3, 4, 23, 3};
  std::vector<int64_t> blocks, channels;
  for (int stage = kFirstStage; stage <= kLastStage; ++stage) {
    const Stage& there = stages[stage];
    // All published bottleneck networks have four stages: what is not there at all is missing.
    if (there.blocks == 0 && !bottleneck) break;
    const std::vector<int64_t>* last = find(there, bottleneck ? "conv3" : "conv2");
    if (last == nullptr) last = find(there, "shortcut");
    blocks.push_back(there.blocks > 0 ? there.blocks : r50[blocks.size()]);
    channels.push_back(last != nullptr ? (*last)[0] : channels.empty() ? 256 : 2 * channels.back());
  }
  const int64_t groups = bottleneck && (*first)[3] > 0 ? (*first)[0] / (*first)[3] : 1;
  const int64_t width = groups > 0 ? (*first)[0] / groups : 0;

  const bool usual = bottleneck && channels == std::vector<int64_t>{256, 512, 1024, 2048} && stem->shape[0] == 64;
  std::string preset;
  if (usual && groups == 1 && width == 64 && blocks == r50) preset = "r50";
  if (usual && groups == 1 && width == 64 && blocks == r101) preset = "r101";
  if (usual && groups == 32 && width == 8 && blocks == r101) preset = "x101_32x8d";
  if (usual && groups == 64 && width == 4 && blocks == r101) preset = "x101_64x4d";
  nlohmann::ordered_json config;
  if (!preset.empty()) {
    config["model.backbone.preset"] = preset;
    return {preset, preset, config.dump()};
  }
  config["model.backbone.preset"] = bottleneck ? "r50" : "basic";
  config["model.backbone.blocks"] = blocks;
  config["model.backbone.channels"] = channels;
  config["model.backbone.stem_channels"] = stem->shape[0];
  if (bottleneck) {
    config["model.backbone.groups"] = groups;
    config["model.backbone.width_per_group"] = width;
  }
  const bool statistics = std::ranges::find(tensors, "backbone.bottom_up.stem.conv1.norm.running_mean",
                                            &MappedTensor::name) != tensors.end();
  if (statistics) config["model.backbone.norm"] = "frozen_bn";
  std::string text = fmt::format("of {} blocks", fmt::join(blocks, " + "));
  // A block that is missing at the end of a stage leaves no other trace.
  if (usual && blocks != r50 && blocks != r101 && blocks != std::vector<int64_t>{3, 8, 36, 3})
    text += " (not those of ResNet-50, 101 or 152: is the file whole?)";
  return {"", text, config.dump()};
}

}  // namespace tessera
