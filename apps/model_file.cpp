#include "apps/model_file.h"

#include <nlohmann/json.hpp>

#include "apps/run_config.h"
#include "engine/training/weights.h"
#include "models/config_keys.h"
#include "models/registry.h"

namespace tessera {

namespace {

const std::string kConfigKey(kMetadataConfig);
const std::string kCategoriesKey = "categories";

bool is_config(const std::filesystem::path& file) { return file.extension() == ".json"; }

const std::string& require(const Metadata& metadata, const std::string& key, const std::filesystem::path& file) {
  const auto found = metadata.find(key);
  if (found != metadata.end()) return found->second;
  throw Error(ExitCode::weights,
              fmt::format("{}: no \"{}\" in its metadata: not a weight file of this program", file.string(), key),
              "tessera train CONFIG --init " + file.string());
}

std::vector<Category> categories_from(const Metadata& metadata, const std::filesystem::path& file) {
  std::vector<Category> categories;
  const auto json = nlohmann::json::parse(require(metadata, kCategoriesKey, file), nullptr, false);
  if (!json.is_array()) throw Error(ExitCode::weights, file.string() + ": metadata \"categories\" is not a list");
  for (const auto& entry : json) {
    if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_number_integer() || !entry.contains("name") ||
        !entry["name"].is_string()) {
      throw Error(ExitCode::weights, file.string() + ": metadata \"categories\" holds an entry without id and name");
    }
    categories.push_back({entry["id"].get<int64_t>(), entry["name"].get<std::string>()});
  }
  return categories;
}

}  // namespace

Metadata model_metadata(const Config& config, const std::vector<Category>& categories) {
  nlohmann::ordered_json described = nlohmann::ordered_json::parse(config.to_json("model."));
  described.update(nlohmann::ordered_json::parse(config.to_json("input.")));
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Category& category : categories) list.push_back({{"id", category.id}, {"name", category.name}});
  return {{"format", "tessera"}, {kConfigKey, described.dump()}, {kCategoriesKey, list.dump()}};
}

Config read_config(const std::filesystem::path& file) {
  if (is_config(file)) return Config::load(run_config_table(), file);
  const SafetensorsFile weights(file);
  return Config::from_json(run_config_table(), require(weights.metadata(), kConfigKey, file), file.string());
}

ModelConfig read_model_config(const std::filesystem::path& file) { return model_config_from(read_config(file)); }

Model make_model(Context& context, const Config& config, std::vector<Category> categories, uint64_t seed,
                 bool training) {
  Model model{config, std::move(categories), std::make_unique<ParameterStore>(), nullptr};
  model.system = make_system(model_config_from(config), *model.parameters);
  model.parameters->allocate(context, seed, training);
  for (int label = static_cast<int>(model.categories.size()); label < model.system->classes(); ++label) {
    model.categories.push_back({label + 1, fmt::format("class {}", label + 1)});
  }
  return model;
}

Model load_model(Context& context, const std::filesystem::path& file, bool training) {
  if (is_config(file)) {
    throw Error(ExitCode::weights, file.string() + ": a config holds no weights",
                "--weights random, or a .safetensors file");
  }
  const SafetensorsFile weights(file);
  const Config config =
      Config::from_json(run_config_table(), require(weights.metadata(), kConfigKey, file), file.string());
  Model model = make_model(context, config, categories_from(weights.metadata(), file), 0, training);
  load_weights(context, *model.parameters, weights);
  return model;
}

}  // namespace tessera
