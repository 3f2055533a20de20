// What a training run reads out of its config.
#pragma once

#include <string>
#include <vector>

#include "apps/model_metadata.h"
#include "apps/picture_options.h"
#include "data/pipeline/transforms.h"
#include "engine/io/config.h"

namespace tessera {

// train.short_side, train.flip and the other keys of what happens to training pictures. Throws Error(usage).
Augmentation augmentation_from(const Config& config);

// Network classes and their COCO categories; fills in model.classes where the config leaves it open. Throws Error(data)
// where the two differ, or there are none; file: named in it.
std::vector<Category> categories_for(Config& config, const CocoDataset& dataset, const std::string& file);

// data.max_megapixels and data.allow_outside.
PictureOptions picture_options(const Config& config);

// Throws Error(usage) where the key is not set.
const std::string& required_path(const Config& config, const char* key);

}  // namespace tessera
