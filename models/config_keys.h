// The keys of a model in a config file, and the way from them to a ModelConfig.
#pragma once

#include "engine/io/config.h"
#include "models/model_config.h"

namespace tessera {

// All keys "model.*". A value of 0, -1, [] or "preset" / "variant" takes what the backbone preset or the FCOS variant
// says.
ConfigTable model_config_keys();

// Throws Error(usage) when the values do not fit together.
ModelConfig model_config_from(const Config& config);

}  // namespace tessera
