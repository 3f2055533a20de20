// The keys a config may hold: name, type, default, range and help text, declared once. Rooms declare the keys they own,
// an application joins the tables it needs into one.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tessera {

using ConfigValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                                 std::vector<std::string>>;

enum class ConfigType : uint8_t { boolean, integer, number, string, choice, integers, numbers, strings };

const char* config_type_name(ConfigType type);  // "integer", "list of numbers", ...

struct ConfigKey {
  std::string name;  // dotted, e.g. "train.learning_rate": {"train": {"learning_rate": 0.01}} in a file
  ConfigType type = ConfigType::string;
  ConfigValue default_value;
  double minimum = -std::numeric_limits<double>::infinity();  // of a number, or of every number of a list; inclusive
  double maximum = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices;
  std::string help;

  static ConfigKey boolean(std::string name, bool value, std::string help);
  static ConfigKey integer(std::string name, int64_t value, int64_t minimum, int64_t maximum, std::string help);
  static ConfigKey number(std::string name, double value, double minimum, double maximum, std::string help);
  static ConfigKey string(std::string name, std::string value, std::string help);
  static ConfigKey choice(std::string name, std::string value, std::vector<std::string> choices, std::string help);
  static ConfigKey integers(std::string name, std::vector<int64_t> value, int64_t minimum, int64_t maximum,
                            std::string help);
  static ConfigKey numbers(std::string name, std::vector<double> value, double minimum, double maximum,
                           std::string help);
  static ConfigKey strings(std::string name, std::vector<std::string> value, std::string help);
};

using ConfigTable = std::vector<ConfigKey>;

// One table out of several, e.g. join({model_keys(), train_keys()}).
ConfigTable join(std::vector<ConfigTable> tables);

// Throws Error(internal) for a name declared twice, a name that is also the prefix of another ("train" beside
// "train.batch"), or a default outside its own range or choices.
void validate_config_table(const ConfigTable& table);

// Why a value of the right type is not allowed for a key, "" when it is: "0 is below the minimum 1".
std::string config_value_problem(const ConfigKey& key, const ConfigValue& value);

// The declared name closest to a mistyped one: by edit distance of the whole name or of its last part, or because that
// part is how a word begins or an abbreviation ("iter", "lr"); "" when none is near.
std::string nearest_config_key(const ConfigTable& table, std::string_view name);
// The same among the groups of the table ("train", "model.backbone"), by edit distance alone.
std::string nearest_config_group(const ConfigTable& table, std::string_view name);

// "pictures per step (integer, 1 to 4096; default 16)".
std::string describe_config_key(const ConfigKey& key);
// The table for people: one key per line with type, default, range and help.
std::string format_config_table(const ConfigTable& table);

}  // namespace tessera
