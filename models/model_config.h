// Everything that defines a network, as plain numbers. Applications fill it from a config (models/config_keys.h).
#pragma once

#include <string>

#include "models/anchor_free/config.h"
#include "models/backbone/resnet.h"
#include "models/fcos/config.h"
#include "models/gridmask/config.h"
#include "models/neck/fpn.h"

namespace tessera {

struct ModelConfig {
  std::string system = "gridmask_fcos";  // "fcos": the detector alone; "anchor_free_yolactr"
  int classes = 80;
  int size_divisor = 32;  // height and width of a batch are padded to a multiple of it

  ResNetConfig backbone;
  FpnConfig fpn;
  FcosConfig fcos;  // its classes and channels follow from the two above
  GridMaskConfig gridmask;
  AnchorFreeConfig anchor_free;  // its classes and channels likewise

  bool is_anchor_free() const { return system == "anchor_free_yolactr"; }
  // With GridMask on the detector.
  bool has_masks() const { return system == "gridmask_fcos"; }
};

// Fills in what follows from other members: classes and channels of the heads, the form of the pyramid.
ModelConfig resolved(ModelConfig config);

// Throws Error(usage) that names the key (as in a config file), the reason and the nearest values that work.
void validate(const ModelConfig& config);

}  // namespace tessera
