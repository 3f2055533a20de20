#include "apps/model_metadata.h"

#include <nlohmann/json.hpp>

#include "apps/run_config.h"
#include "engine/training/weights.h"

namespace tessera {

namespace {

const std::string kConfigKey(kMetadataConfig);
const std::string kCategoriesKey = "categories";

const std::string& require(const Metadata& metadata, const std::string& key, const std::filesystem::path& file) {
  const auto found = metadata.find(key);
  if (found != metadata.end()) return found->second;
  std::filesystem::path converted = file;
  converted.replace_filename(file.stem().string() + ".converted.safetensors");
  throw Error(ExitCode::weights,
              fmt::format("{}: no \"{}\" in its metadata: not a weight file of this program", file.string(), key),
              fmt::format("tessera convert {} {}", file.string(), converted.string()));
}

}  // namespace

Metadata model_metadata(const Config& config, const std::vector<Category>& categories) {
  nlohmann::ordered_json described = nlohmann::ordered_json::parse(config.to_json("model."));
  described.update(nlohmann::ordered_json::parse(config.to_json("input.")));
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Category& category : categories) list.push_back({{"id", category.id}, {"name", category.name}});
  return {{"format", "tessera"}, {kConfigKey, described.dump()}, {kCategoriesKey, list.dump()}};
}

Config config_of(const Metadata& metadata, const std::filesystem::path& file) {
  const std::string& text = require(metadata, kConfigKey, file);
  try {
    return Config::from_json(run_config_table(), text, file.string());
  } catch (const Error& error) {
    // Nobody typed it: the file is damaged, or of another version of the program.
    throw Error(ExitCode::weights, error.what(), error.hint());
  }
}

std::vector<Category> categories_of(const Metadata& metadata, const std::filesystem::path& file) {
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

}  // namespace tessera
