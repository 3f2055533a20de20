// What kind of ResNet the tensors of a file make.
#pragma once

#include <string>
#include <vector>

#include "weights_tools/convert.h"

namespace tessera {

struct BackboneDescription {
  std::string preset;  // of model.backbone.preset
  std::string config;  // JSON: keys model.backbone.*; "{}" without a backbone
};

// From names and shapes under backbone.bottom_up (our layout): blocks per stage, kind of block, groups, widths.
BackboneDescription describe_backbone(const std::vector<MappedTensor>& tensors);

}  // namespace tessera
