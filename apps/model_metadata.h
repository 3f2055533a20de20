// What a weight file says about its network: the config it was made from and the categories it tells apart.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/config.h"
#include "engine/io/safetensors.h"

namespace tessera {

// Class `label` of the network is categories[label].
struct Category {
  int64_t id = 0;  // in COCO files
  std::string name;
};

Metadata model_metadata(const Config& config, const std::vector<Category>& categories);

// Both throw Error(weights) that names the file: metadata without them, and for config_of also keys and values that
// this program does not know.
Config config_of(const Metadata& metadata, const std::filesystem::path& file);
std::vector<Category> categories_of(const Metadata& metadata, const std::filesystem::path& file);

}  // namespace tessera
