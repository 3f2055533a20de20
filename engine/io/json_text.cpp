#include "engine/io/json_text.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace tessera {

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }
std::string json_number(float value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

std::string json_strings(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + json_string(text);
  return "[" + list + "]";
}

std::vector<std::string> parse_json_strings(std::string_view text, std::string_view source) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  std::vector<std::string> texts;
  bool good = json.is_array();
  for (size_t i = 0; good && i < json.size(); ++i) {
    good = json[i].is_string();
    if (good) texts.push_back(json[i].get<std::string>());
  }
  if (!good) throw Error(ExitCode::weights, fmt::format("{}: not a list of texts", source));
  return texts;
}

JsonObject& JsonObject::add_raw(std::string_view key, std::string_view json) {
  fields_ += fmt::format("{}{}: {}", fields_.empty() ? "" : ", ", json_string(key), json);
  return *this;
}

}  // namespace tessera
