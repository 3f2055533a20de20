// What kind of ResNet the tensors of a file make.
#pragma once

#include <string>
#include <vector>

#include "weights_tools/convert.h"

namespace tessera {

struct BackboneDescription {
  std::string preset;  // of model.backbone.preset; empty: none of them
  std::string text;    // "r50", or "of 3 + 4 + 6 + 2 blocks"; empty without a backbone
  std::string config;  // JSON: keys model.backbone.*; "{}" without a backbone
};

// From names and shapes under backbone.bottom_up (our layout): blocks per stage, kind of block, groups, widths. A
// tensor that is missing does not make another network of it: blocks count when they have any.
BackboneDescription describe_backbone(const std::vector<MappedTensor>& tensors);

}  // namespace tessera
