#include "engine/io/config_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "engine/core/error.h"

namespace tessera {

const char* config_type_name(ConfigType type) {
  switch (type) {
    case ConfigType::boolean:
      return "true or false";
    case ConfigType::integer:
      return "integer";
    case ConfigType::number:
      return "number";
    case ConfigType::string:
      return "string";
    case ConfigType::choice:
      return "choice";
    case ConfigType::integers:
      return "list of integers";
    case ConfigType::numbers:
      return "list of numbers";
    case ConfigType::strings:
      return "list of strings";
  }
  return "?";
}

namespace {

std::string join_texts(const std::vector<std::string>& texts, std::string_view separator) {
  std::string joined;
  for (const std::string& text : texts) {
    if (!joined.empty()) joined += separator;
    joined += text;
  }
  return joined;
}

ConfigKey make_key(std::string name, ConfigType type, ConfigValue value, std::string help) {
  ConfigKey key;
  key.name = std::move(name);
  key.type = type;
  key.default_value = std::move(value);
  key.help = std::move(help);
  return key;
}

template <typename T>
ConfigKey make_ranged_key(std::string name, ConfigType type, ConfigValue value, T minimum, T maximum,
                          std::string help) {
  ConfigKey key = make_key(std::move(name), type, std::move(value), std::move(help));
  key.minimum = static_cast<double>(minimum);
  key.maximum = static_cast<double>(maximum);
  return key;
}

template <typename T>
std::string range_problem(const ConfigKey& key, T value) {
  const double number = static_cast<double>(value);
  if (!std::isfinite(number)) return fmt::format("{} is not finite", value);
  if (number < key.minimum) return fmt::format("{} is below the minimum {}", value, key.minimum);
  if (number > key.maximum) return fmt::format("{} is above the maximum {}", value, key.maximum);
  return {};
}

struct ValueProblem {
  const ConfigKey& key;

  std::string operator()(bool) const { return {}; }
  std::string operator()(int64_t value) const { return range_problem(key, value); }
  std::string operator()(double value) const { return range_problem(key, value); }
  std::string operator()(const std::string& value) const {
    if (key.type != ConfigType::choice) return {};
    if (std::find(key.choices.begin(), key.choices.end(), value) != key.choices.end()) return {};
    return fmt::format("\"{}\" is none of {}", value, join_texts(key.choices, ", "));
  }
  template <typename T>
  std::string operator()(const std::vector<T>& values) const {
    for (const T& value : values) {
      if (std::string problem = (*this)(value); !problem.empty()) return problem;
    }
    return {};
  }
};

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string_view last_part(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

// "lr" for "learning_rate".
std::string initials(std::string_view words) {
  std::string letters;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i == 0 || words[i - 1] == '_') letters += words[i];
  }
  return letters;
}

// How far a typed last part of a name is from a declared one, by letters or by the ways people shorten words.
int part_distance(std::string_view declared, std::string_view typed) {
  if (typed.size() >= 2 && initials(declared) == typed) return 1;
  if (typed.size() >= 3 && declared.starts_with(typed)) return 1;
  return edit_distance(declared, typed);
}

struct ValueText {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(const std::string& value) const { return fmt::format("\"{}\"", value); }
  template <typename T>
  std::string operator()(const std::vector<T>& values) const {
    std::vector<std::string> texts;
    for (const T& value : values) texts.push_back((*this)(value));
    return fmt::format("[{}]", join_texts(texts, ", "));
  }
  template <typename T>
  std::string operator()(T value) const {
    return fmt::format("{}", value);
  }
};

std::string range_text(const ConfigKey& key) {
  if (!key.choices.empty()) return join_texts(key.choices, " | ");
  const bool low = std::isfinite(key.minimum), high = std::isfinite(key.maximum);
  std::string range = config_type_name(key.type);
  if (low && high) range += fmt::format(", {} to {}", key.minimum, key.maximum);
  if (low && !high) range += fmt::format(", at least {}", key.minimum);
  if (!low && high) range += fmt::format(", at most {}", key.maximum);
  return range;
}

}  // namespace

ConfigKey ConfigKey::boolean(std::string name, bool value, std::string help) {
  return make_key(std::move(name), ConfigType::boolean, value, std::move(help));
}

ConfigKey ConfigKey::integer(std::string name, int64_t value, int64_t minimum, int64_t maximum, std::string help) {
  return make_ranged_key(std::move(name), ConfigType::integer, value, minimum, maximum, std::move(help));
}

ConfigKey ConfigKey::number(std::string name, double value, double minimum, double maximum, std::string help) {
  return make_ranged_key(std::move(name), ConfigType::number, value, minimum, maximum, std::move(help));
}

ConfigKey ConfigKey::string(std::string name, std::string value, std::string help) {
  return make_key(std::move(name), ConfigType::string, std::move(value), std::move(help));
}

ConfigKey ConfigKey::choice(std::string name, std::string value, std::vector<std::string> choices, std::string help) {
  ConfigKey key = make_key(std::move(name), ConfigType::choice, std::move(value), std::move(help));
  key.choices = std::move(choices);
  return key;
}

ConfigKey ConfigKey::integers(std::string name, std::vector<int64_t> value, int64_t minimum, int64_t maximum,
                              std::string help) {
  return make_ranged_key(std::move(name), ConfigType::integers, std::move(value), minimum, maximum, std::move(help));
}

ConfigKey ConfigKey::numbers(std::string name, std::vector<double> value, double minimum, double maximum,
                             std::string help) {
  return make_ranged_key(std::move(name), ConfigType::numbers, std::move(value), minimum, maximum, std::move(help));
}

ConfigKey ConfigKey::strings(std::string name, std::vector<std::string> value, std::string help) {
  return make_key(std::move(name), ConfigType::strings, std::move(value), std::move(help));
}

ConfigTable join(std::vector<ConfigTable> tables) {
  ConfigTable joined;
  for (ConfigTable& table : tables) {
    for (ConfigKey& key : table) joined.push_back(std::move(key));
  }
  return joined;
}

void validate_config_table(const ConfigTable& table) {
  std::unordered_set<std::string> names, prefixes;
  for (const ConfigKey& key : table) {
    TESSERA_CHECK(!key.name.empty() && key.name != "base", "'{}' cannot name a config key", key.name);
    TESSERA_CHECK(names.insert(key.name).second, "config key '{}' declared twice", key.name);
    for (size_t dot = key.name.find('.'); dot != std::string::npos; dot = key.name.find('.', dot + 1)) {
      prefixes.insert(key.name.substr(0, dot));
    }
    const std::string problem = config_value_problem(key, key.default_value);
    TESSERA_CHECK(problem.empty(), "default of config key '{}': {}", key.name, problem);
  }
  for (const std::string& prefix : prefixes) {
    TESSERA_CHECK(!names.contains(prefix), "config key '{}' is also the prefix of another", prefix);
  }
}

std::string config_value_problem(const ConfigKey& key, const ConfigValue& value) {
  return std::visit(ValueProblem{key}, value);
}

std::string nearest_config_key(const ConfigTable& table, std::string_view name) {
  std::string nearest;
  int best = std::max(3, static_cast<int>(name.size()) / 2) + 1;
  for (const ConfigKey& key : table) {
    // The last part alone ("batch" for "train.batch", "lr.warmup" for "train.warmup") is a weaker match.
    const int whole = edit_distance(key.name, name);
    const int part = part_distance(last_part(key.name), last_part(name)) * 2 + 1;
    const int distance = std::min(whole, part);
    if (distance < best) {
      best = distance;
      nearest = key.name;
    }
  }
  return nearest;
}

std::string nearest_config_group(const ConfigTable& table, std::string_view name) {
  std::string nearest;
  int best = std::max(2, static_cast<int>(name.size()) / 3) + 1;
  for (const ConfigKey& key : table) {
    for (size_t dot = key.name.find('.'); dot != std::string::npos; dot = key.name.find('.', dot + 1)) {
      const std::string group = key.name.substr(0, dot);
      const int distance = edit_distance(group, name);
      if (distance < best && distance < static_cast<int>(name.size())) {
        best = distance;
        nearest = group;
      }
    }
  }
  return nearest;
}

std::string describe_config_key(const ConfigKey& key) {
  return fmt::format("{} ({}; default {})", key.help, range_text(key), std::visit(ValueText{}, key.default_value));
}

std::string format_config_table(const ConfigTable& table) {
  size_t width = 0;
  for (const ConfigKey& key : table) width = std::max(width, key.name.size());
  std::string text;
  for (const ConfigKey& key : table) {
    const std::string gap(width - key.name.size(), ' ');
    text += fmt::format("  {}{}  {}\n", key.name, gap, describe_config_key(key));
  }
  return text;
}

}  // namespace tessera
