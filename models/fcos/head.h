// The head of FCOS, shared by all levels: classification and regression tower, class logits, box distances, centerness.
// Names are AdelaiDet's: cls_tower.{0,1,3,4,..}, bbox_tower, cls_logits, bbox_pred, ctrness, scales.{level}.scale.
#pragma once

#include <vector>

#include "layers/conv_tower.h"
#include "models/fcos/config.h"

namespace tessera {

struct FcosOutput {
  Pyramid logits;      // [R, classes]
  Pyramid distances;   // [R, 4] left, top, right, bottom in units of FcosConfig::unit, after the activation
  Pyramid centerness;  // [R, 1] logits
};

class FcosHead {
 public:
  FcosHead(const ParameterScope& scope, const FcosConfig& config, int levels);

  FcosOutput forward(Tape& tape, const Pyramid& features) const;

 private:
  FcosConfig config_;
  ConvTower class_tower_, box_tower_;
  Conv2d logits_, boxes_, centerness_;
  std::vector<const Parameter*> scales_;
};

}  // namespace tessera
