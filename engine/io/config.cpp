#include "engine/io/config.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "engine/core/error.h"

namespace tessera {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// "parse error at line 3, column 5: ..." without the library's own prefix.
std::string parse_problem(const Json::exception& error) {
  const std::string text = error.what();
  const size_t bracket = text.find("] ");
  return bracket == std::string::npos ? text : text.substr(bracket + 2);
}

// Throws Error(usage) for text that is not JSON and for a key given twice in one object (the DOM would keep one).
Json parse_json(std::string_view text, std::string_view source) {
  std::vector<std::set<std::string>> open;
  std::string twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return true;
  };
  try {
    Json json = Json::parse(text, watch, true, /*ignore_comments=*/true);
    if (!twice.empty()) throw Error(ExitCode::usage, fmt::format("{}: key \"{}\" is given twice", source, twice));
    if (!json.is_object()) throw Error(ExitCode::usage, fmt::format("{}: not a JSON object", source));
    return json;
  } catch (const Json::exception& error) {
    throw Error(ExitCode::usage, fmt::format("{}: {}", source, parse_problem(error)));
  }
}

// 20000, 2e4 and 20000.0 are integers; 0.5 and 1e300 are not.
std::optional<int64_t> to_integer(const Json& json) {
  if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX}) return std::nullopt;
  if (json.is_number_integer()) return json.get<int64_t>();
  if (!json.is_number_float()) return std::nullopt;
  const double value = json.get<double>();
  if (std::floor(value) != value || std::fabs(value) > 0x1p53) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::optional<double> to_number(const Json& json) {
  return json.is_number() ? std::optional(json.get<double>()) : std::nullopt;
}

std::optional<std::string> to_string(const Json& json) {
  return json.is_string() ? std::optional(json.get<std::string>()) : std::nullopt;
}

template <typename T>
std::optional<ConfigValue> to_list(const Json& json, std::optional<T> (*convert)(const Json&)) {
  if (!json.is_array()) return std::nullopt;
  std::vector<T> values;
  for (const Json& element : json) {
    std::optional<T> value = convert(element);
    if (!value) return std::nullopt;
    values.push_back(std::move(*value));
  }
  return values;
}

std::optional<ConfigValue> convert(const ConfigKey& key, const Json& json) {
  switch (key.type) {
    case ConfigType::boolean:
      return json.is_boolean() ? std::optional<ConfigValue>(json.get<bool>()) : std::nullopt;
    case ConfigType::integer:
      return to_integer(json);
    case ConfigType::number:
      return to_number(json);
    case ConfigType::string:
    case ConfigType::choice:
      return to_string(json);
    case ConfigType::integers:
      return to_list<int64_t>(json, to_integer);
    case ConfigType::numbers:
      return to_list<double>(json, to_number);
    case ConfigType::strings:
      return to_list<std::string>(json, to_string);
  }
  return std::nullopt;
}

std::string excerpt(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

constexpr const char* kListOfKeys = "tessera train --help-keys";

[[noreturn]] void throw_unknown_name(std::string_view name, const std::string& nearest, std::string_view source) {
  const std::string meant = nearest.empty() ? "" : fmt::format(", did you mean \"{}\"?", nearest);
  throw Error(ExitCode::usage, fmt::format("{}: unknown key \"{}\"{}", source, name, meant),
              nearest.empty() ? kListOfKeys : fmt::format("write \"{}\" in place of \"{}\"", nearest, name));
}

[[noreturn]] void throw_unknown_key(const ConfigTable& table, std::string_view name, std::string_view source) {
  throw_unknown_name(name, nearest_config_key(table, name), source);
}

// value: what stands under the name, with its keys when a group was meant. A misspelt group is told by its own name,
// else by that of its first key.
[[noreturn]] void throw_unknown_group(const ConfigTable& table, std::string name, const Json& value,
                                      std::string_view source) {
  if (value.is_object()) {
    if (const std::string nearest = nearest_config_group(table, name); !nearest.empty())
      throw_unknown_name(name, nearest, source);
  }
  const Json* inner = &value;
  for (int depth = 0; depth < 3 && inner->is_object() && !inner->empty(); ++depth) {
    name += "." + inner->begin().key();
    inner = &inner->begin().value();
  }
  throw_unknown_key(table, name, source);
}

[[noreturn]] void throw_bad_value(const ConfigKey& key, std::string_view source, const std::string& reason) {
  throw Error(ExitCode::usage, fmt::format("{}: key \"{}\": {}", source, key.name, reason),
              fmt::format("a value for \"{}\": {}", key.name, describe_config_key(key)));
}

bool is_list(ConfigType type) {
  return type == ConfigType::integers || type == ConfigType::numbers || type == ConfigType::strings;
}

// The right side of key=value as JSON: strings may come bare, lists without brackets.
Json parse_override(const ConfigKey& key, std::string_view text) {
  const bool textual = key.type == ConfigType::string || key.type == ConfigType::choice;
  if (textual) {
    const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
    Json parsed = quoted ? Json::parse(text, nullptr, false) : Json(Json::value_t::discarded);
    return parsed.is_string() ? parsed : Json(std::string(text));
  }
  if (is_list(key.type) && !text.starts_with('[')) {
    Json list = Json::array();
    ConfigKey element = key;
    element.type = key.type == ConfigType::strings ? ConfigType::string : ConfigType::number;
    for (size_t begin = 0; begin <= text.size() && !text.empty();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      list.push_back(parse_override(element, text.substr(begin, end - begin)));
      begin = end + 1;
    }
    return list;
  }
  Json parsed = Json::parse(text, nullptr, false);
  return parsed.is_discarded() ? Json(std::string(text)) : parsed;
}

}  // namespace

Config::Config(ConfigTable table) : table_(std::move(table)) {
  validate_config_table(table_);
  for (const ConfigKey& key : table_) {
    index_.emplace(key.name, entries_.size());
    entries_.push_back({key.default_value, "default"});
  }
}

Config Config::load(ConfigTable table, const fs::path& file, const std::vector<std::string>& overrides) {
  Config config(std::move(table));
  config.merge_file(file);
  for (const std::string& assignment : overrides) config.merge_override(assignment);
  return config;
}

Config Config::from_json(ConfigTable table, std::string_view text, std::string_view source) {
  Config config(std::move(table));
  config.merge_json(text, source);
  return config;
}

void Config::merge_file(const fs::path& file) {
  std::vector<fs::path> chain;
  merge_files(file, chain, "");
}

void Config::merge_json(std::string_view text, std::string_view source) { merge_text(text, source, nullptr); }

void Config::merge_files(const fs::path& file, std::vector<fs::path>& chain, const std::string& asking) {
  const fs::path place = fs::weakly_canonical(file);
  for (const fs::path& earlier : chain) {
    if (earlier == place)
      throw Error(ExitCode::usage, fmt::format("{}: key \"base\": the file inherits from itself", file.string()));
  }
  chain.push_back(place);
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (fs::is_directory(file) || !stream || !(text << stream.rdbuf())) {
    const std::string named = asking.empty() ? "" : fmt::format(", which {} names as its \"base\"", asking);
    throw Error(ExitCode::usage, fmt::format("{}: cannot read the config file{}", file.string(), named),
                asking.empty() ? "ls configs/*.json" : fmt::format("a \"base\" beside {}", asking));
  }
  merge_text(text.str(), file.string(), &chain);
}

void Config::merge_text(std::string_view text, std::string_view source, std::vector<fs::path>* chain) {
  const Json json = parse_json(text, source);
  if (json.contains("base")) {
    if (chain == nullptr) throw Error(ExitCode::usage, fmt::format("{}: key \"base\" is for config files", source));
    if (!json["base"].is_string())
      throw Error(ExitCode::usage, fmt::format("{}: key \"base\": expected a file name", source));
    merge_files(fs::path(source).parent_path() / json["base"].get<std::string>(), *chain, std::string(source));
  }
  // Descends only where a declared name starts with the prefix, so that the depth is bounded by the table.
  std::set<std::string> seen;
  const auto merge = [&](auto& self, const Json& object, const std::string& prefix) -> void {
    for (const auto& [part, value] : object.items()) {
      if (prefix.empty() && part == "base") continue;
      const std::string name = prefix + part;
      if (const auto found = index_.find(name); found != index_.end()) {
        const ConfigKey& key = table_[found->second];
        if (!seen.insert(name).second)
          throw Error(ExitCode::usage, fmt::format("{}: key \"{}\" is given twice", source, name));
        std::optional<ConfigValue> converted = convert(key, value);
        if (!converted)
          throw_bad_value(key, source, fmt::format("expected {}, not {}", config_type_name(key.type), excerpt(value)));
        set(name, std::move(*converted), source);
        continue;
      }
      const std::string below = name + ".";
      const bool group =
          std::any_of(table_.begin(), table_.end(), [&](const ConfigKey& key) { return key.name.starts_with(below); });
      if (!group) throw_unknown_group(table_, name, value, source);
      if (!value.is_object())
        throw Error(ExitCode::usage,
                    fmt::format("{}: key \"{}\": expected an object of keys, not {}", source, name, excerpt(value)));
      self(self, value, below);
    }
  };
  merge(merge, json, "");
}

void Config::merge_override(std::string_view assignment) {
  const std::string source = "command line";
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw Error(ExitCode::usage, fmt::format("{}: \"{}\" is not of the form key=value", source, assignment));
  }
  const std::string name(assignment.substr(0, equals));
  const auto found = index_.find(name);
  if (found == index_.end()) throw_unknown_key(table_, name, source);
  const ConfigKey& key = table_[found->second];
  const Json json = parse_override(key, assignment.substr(equals + 1));
  std::optional<ConfigValue> value = convert(key, json);
  if (!value)
    throw_bad_value(key, source, fmt::format("expected {}, not {}", config_type_name(key.type), excerpt(json)));
  set(name, std::move(*value), source);
}

size_t Config::index_of(std::string_view key) const {
  const auto found = index_.find(std::string(key));
  TESSERA_CHECK(found != index_.end(), "config key '{}' is not declared", key);
  return found->second;
}

template <typename T>
const T& Config::get(std::string_view key) const {
  const T* value = std::get_if<T>(&entries_[index_of(key)].value);
  TESSERA_CHECK(value != nullptr, "config key '{}' is a {}", key, config_type_name(table_[index_of(key)].type));
  return *value;
}

bool Config::get_bool(std::string_view key) const { return get<bool>(key); }
int64_t Config::get_int(std::string_view key) const { return get<int64_t>(key); }
double Config::get_number(std::string_view key) const {
  if (const auto* integer = std::get_if<int64_t>(&entries_[index_of(key)].value)) return static_cast<double>(*integer);
  return get<double>(key);
}
const std::string& Config::get_string(std::string_view key) const { return get<std::string>(key); }
const std::vector<int64_t>& Config::get_ints(std::string_view key) const { return get<std::vector<int64_t>>(key); }
const std::vector<double>& Config::get_numbers(std::string_view key) const { return get<std::vector<double>>(key); }
const std::vector<std::string>& Config::get_strings(std::string_view key) const {
  return get<std::vector<std::string>>(key);
}

void Config::set(std::string_view name, ConfigValue value, std::string_view source) {
  const size_t index = index_of(name);
  const ConfigKey& key = table_[index];
  TESSERA_CHECK(value.index() == key.default_value.index(), "config key '{}' is a {}", name,
                config_type_name(key.type));
  if (const std::string problem = config_value_problem(key, value); !problem.empty())
    throw_bad_value(key, source, problem);
  entries_[index] = {std::move(value), std::string(source)};
}

bool Config::is_set(std::string_view key) const { return source_of(key) != "default"; }

const std::string& Config::source_of(std::string_view key) const { return entries_[index_of(key)].source; }

std::string Config::to_json(std::string_view prefix, int indent) const {
  Json json = Json::object();
  for (size_t i = 0; i < table_.size(); ++i) {
    const std::string& name = table_[i].name;
    if (!name.starts_with(prefix)) continue;
    Json* place = &json;
    size_t begin = 0;
    for (size_t dot; (dot = name.find('.', begin)) != std::string::npos; begin = dot + 1) {
      place = &(*place)[name.substr(begin, dot - begin)];
    }
    std::visit([&](const auto& value) { (*place)[name.substr(begin)] = value; }, entries_[i].value);
  }
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tessera
