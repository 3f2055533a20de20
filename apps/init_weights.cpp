#include "apps/init_weights.h"

#include <unordered_set>

#include "apps/run_config.h"
#include "engine/core/error.h"
#include "engine/training/weights.h"
#include "models/config_keys.h"

namespace tessera {

namespace {

std::string value_text(const Config& config, const std::string& key) {
  if (key == "model.backbone.stride_in") return model_config_from(config).backbone.stride_in_1x1 ? "1x1" : "3x3";
  if (key == "model.backbone.norm_epsilon") return fmt::format("{}", config.get_number(key));
  if (key == "input.order") return config.get_string(key);
  return fmt::format("[{}]", fmt::join(config.get_numbers(key), ","));
}

}  // namespace

void check_init_weights(const Config& config, const SafetensorsFile& weights) {
  const auto found = weights.metadata().find(std::string(kMetadataConfig));
  const bool backbone = weights.find("backbone.bottom_up.res3.0.conv1.weight") != nullptr;
  if (found == weights.metadata().end() || !backbone) return;
  const std::string name = weights.path().string();
  const Config theirs = Config::from_json(run_config_table(), found->second, name);
  std::vector<std::string> keys = {"input.order", "input.mean", "input.std"};
  // Of bottlenecks and batch norms alone.
  if (model_config_from(theirs).backbone.block == ResNetConfig::Block::bottleneck)
    keys.push_back("model.backbone.stride_in");
  if (weights.find("backbone.bottom_up.stem.conv1.norm.running_var") != nullptr)
    keys.push_back("model.backbone.norm_epsilon");
  std::string differences, cure;
  for (const std::string& key : keys) {
    const std::string ours = value_text(config, key), wanted = value_text(theirs, key);
    if (ours == wanted) continue;
    differences += fmt::format("{}{} = {}, not {}", differences.empty() ? "" : "; ", key, wanted, ours);
    cure += fmt::format(" {}={}", key, wanted);
  }
  if (differences.empty()) return;
  throw Error(ExitCode::usage, fmt::format("{}: these weights want {}", name, differences),
              "tessera train CONFIG --init " + name + cure);
}

std::string frozen_at_random_note(const ParameterStore& store, const std::vector<std::string>& loaded) {
  const std::unordered_set<std::string> known(loaded.begin(), loaded.end());
  int64_t frozen = 0, weights = 0;
  std::string first;
  for (const Parameter& parameter : store.parameters()) {
    // Statistics of a norm that learns move by themselves; those of a frozen one go with its scale and shift.
    if (parameter.trainable || parameter.role == ParameterRole::statistic || known.contains(parameter.name)) continue;
    if (frozen++ == 0) first = parameter.name;
    weights += parameter.role == ParameterRole::weight || parameter.role == ParameterRole::bias;
  }
  if (frozen == 0) return {};
  return fmt::format(
      "{} frozen tensors ({}, ...) keep what they start with, {} of them random: a backbone of trained weights comes "
      "by "
      "--init (tessera convert resnet50.pth r50.safetensors --init; docs/weights.md)",
      frozen, first, weights);
}

}  // namespace tessera
