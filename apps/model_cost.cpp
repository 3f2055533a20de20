#include "apps/model_cost.h"

#include <algorithm>
#include <map>

#include "models/registry.h"

namespace tessera {

namespace {

// Stages as people know them, and where their parameters live in the tree of names.
const std::vector<std::pair<std::string, std::string>>& stage_prefixes() {
  static const std::vector<std::pair<std::string, std::string>> stages = {
      {"backbone", "backbone.bottom_up."},
      {"fpn", "backbone."},
      {"fcos_head", "proposal_generator."},
      {"gridmask_pixel", "gridmask.pixel."},
      {"gridmask_object", "gridmask.object."},
      {"transformer", "prediction.transformer."},
      {"transformer", "prediction.position."},
      {"heads", "prediction."},
      {"mask_features", "mask."},
      {"semantic", "semantic."},
  };
  return stages;
}

std::string stage_of_parameter(const std::string& name) {
  for (const auto& [stage, prefix] : stage_prefixes()) {
    if (name.starts_with(prefix)) return stage;
  }
  return name.substr(0, name.find('.'));
}

}  // namespace

ModelCost model_cost(const ModelConfig& config, int batch, int height, int width) {
  ModelCost cost;
  std::map<std::string, ModelStage> stages;
  const auto padded = [&](int extent) {
    return (extent + config.size_divisor - 1) / config.size_divisor * config.size_divisor;
  };
  const Shape shape{batch, padded(height), padded(width), 3};
  for (const bool training : {false, true}) {
    PlanContext context;
    ParameterStore store;
    const std::unique_ptr<System> system = make_system(config, store);
    store.allocate(context, 0, training);
    Tape tape(context, training ? Tape::Mode::record : Tape::Mode::forward);
    const Tensor images = Tensor::empty(context, shape, DType::f32, "input");
    const size_t before = context.allocator()->statistics().live;
    system->forward(tape, images);
    if (training) {
      cost.saved_bytes = static_cast<int64_t>(context.allocator()->statistics().live - before);
      continue;
    }
    cost.inference_bytes = static_cast<int64_t>(context.allocator()->statistics().peak);
    for (const StageCost& stage : tape.costs()) {
      std::string name = stage.name.substr(0, stage.name.find('.'));
      if (name.empty()) name = "other";  // between the stages: resizing levels, joining outputs
      ModelStage& entry = stages[name];
      entry.macs += stage.macs;
      entry.activation_bytes += stage.activation_bytes;
      cost.macs += stage.macs;
    }
    for (const Parameter& parameter : store.parameters()) {
      if (!parameter.counted()) continue;
      stages[stage_of_parameter(parameter.name)].parameters += parameter.shape.elements();
      cost.parameters += parameter.shape.elements();
    }
  }
  // In the order of the data flow, stages this list does not know last.
  for (const auto& [name, prefix] : stage_prefixes()) {
    const auto found = stages.find(name);
    if (found == stages.end()) continue;
    found->second.name = name;
    cost.stages.push_back(found->second);
    stages.erase(found);
  }
  for (auto& [name, stage] : stages) {
    stage.name = name;
    cost.stages.push_back(stage);
  }
  return cost;
}

}  // namespace tessera
