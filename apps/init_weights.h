// Whether weights to start from suit a run: what they expect of pictures and of the network travels in their metadata.
#pragma once

#include <string>
#include <vector>

#include "engine/autograd/parameter_store.h"
#include "engine/io/config.h"
#include "engine/io/safetensors.h"

namespace tessera {

// Throws Error(usage) when the file says it wants other channels, means or deviations, another stride placement or
// epsilon of the backbone than the config has, with the keys to set. Files that say nothing pass.
void check_init_weights(const Config& config, const SafetensorsFile& weights);

// A frozen parameter keeps what it starts with. Where some are not among `loaded`, the names that a file gave values:
// what to say of them, else "".
std::string frozen_at_random_note(const ParameterStore& store, const std::vector<std::string>& loaded);

}  // namespace tessera
