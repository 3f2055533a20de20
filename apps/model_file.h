// A network together with what a weight file says about it: architecture, preprocessing, category names. No option of a
// user can mismatch them, because all of it travels inside the file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/model_metadata.h"
#include "models/model_config.h"
#include "models/system.h"

namespace tessera {

struct Model {
  Config config;  // run_config_table(); model.* and input.* are meant
  std::vector<Category> categories;
  std::unique_ptr<ParameterStore> parameters;
  std::unique_ptr<System> system;
};

// By the name: configs end in .json.
bool is_config(const std::filesystem::path& file);

// From a config (.json) or out of the metadata of a weight file. Throws Error(usage) or Error(weights).
Config read_config(const std::filesystem::path& file);
ModelConfig read_model_config(const std::filesystem::path& file);

// The name of a class that has none but its number, counted from 0: "class 1".
std::string unnamed_class(int label);

// Builds the network of a config with random weights. Without categories the classes are named by number.
Model make_model(Context& context, const Config& config, std::vector<Category> categories, uint64_t seed,
                 bool training);
// Throws Error(weights) for a config given where weights are needed.
void refuse_config_as_weights(const std::filesystem::path& file);
// Builds the network of a weight file and reads its weights, all of them or none. Throws Error(weights).
Model load_model(Context& context, const std::filesystem::path& weights, bool training = false);

}  // namespace tessera
