#include "models/registry.h"

#include "models/gridmask_fcos.h"

namespace tessera {

std::unique_ptr<System> make_system(const ModelConfig& config, ParameterStore& store) {
  validate(config);  // also refuses unknown systems; all known ones are compositions on FCOS
  return std::make_unique<GridMaskFcos>(config, store);
}

}  // namespace tessera
