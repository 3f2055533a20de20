// From a model's config to the system.
#pragma once

#include <memory>

#include "models/model_config.h"
#include "models/system.h"

namespace tessera {

// Declares the parameters of config.system in store, which must outlive the system; allocate the store afterwards.
// Throws Error(usage) for a config that cannot work.
std::unique_ptr<System> make_system(const ModelConfig& config, ParameterStore& store);

}  // namespace tessera
