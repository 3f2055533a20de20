// Parameters, multiply-adds and activation memory of a model by stage, found by running its forward code on a plan
// context: the same code that trains, without the arithmetic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/model_config.h"

namespace tessera {

struct ModelStage {
  std::string name;
  int64_t parameters = 0;        // learned, and the affine of frozen norms
  int64_t macs = 0;              // multiply-adds of convolutions and matrix products
  int64_t activation_bytes = 0;  // outputs of all ops, f32
};

struct ModelCost {
  int64_t parameters = 0;
  int64_t macs = 0;
  int64_t saved_bytes = 0;      // kept for backward in one training step, beyond parameters and pictures
  int64_t inference_bytes = 0;  // highest total of one forward pass, parameters included
  std::vector<ModelStage> stages;
};

// height and width are padded to the model's size divisor.
ModelCost model_cost(const ModelConfig& config, int batch, int height, int width);

}  // namespace tessera
