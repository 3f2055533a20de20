#include "models/registry.h"

#include "models/anchor_free_yolactr.h"
#include "models/gridmask_fcos.h"

namespace tessera {

std::unique_ptr<System> make_system(const ModelConfig& config, ParameterStore& store) {
  validate(config);  // also refuses unknown systems
  if (config.is_anchor_free()) return std::make_unique<AnchorFreeYolactr>(config, store);
  return std::make_unique<GridMaskFcos>(config, store);
}

}  // namespace tessera
