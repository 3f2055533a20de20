// JSON objects written field by field, on one line: log lines, small results, metadata values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// With quotes. Bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);
// Shortest text that reads back as the same number; null for NaN and infinity.
std::string json_number(double value);
std::string json_number(float value);
std::string json_strings(const std::vector<std::string>& texts);
// The opposite of json_strings. Throws Error(weights) for anything else; source is named.
std::vector<std::string> parse_json_strings(std::string_view text, std::string_view source);

// JsonObject().add("iteration", 5).add("loss", 0.25).text() == {"iteration": 5, "loss": 0.25}
class JsonObject {
 public:
  JsonObject& add(std::string_view key, double value) { return add_raw(key, json_number(value)); }
  JsonObject& add(std::string_view key, float value) { return add_raw(key, json_number(value)); }
  JsonObject& add(std::string_view key, int64_t value) { return add_raw(key, std::to_string(value)); }
  JsonObject& add(std::string_view key, int value) { return add_raw(key, std::to_string(value)); }
  JsonObject& add(std::string_view key, bool value) { return add_raw(key, value ? "true" : "false"); }
  JsonObject& add(std::string_view key, std::string_view value) { return add_raw(key, json_string(value)); }
  JsonObject& add(std::string_view key, const char* value) { return add_raw(key, json_string(value)); }
  // json: text that is JSON already, e.g. of another JsonObject.
  JsonObject& add_raw(std::string_view key, std::string_view json);
  std::string text() const { return "{" + fields_ + "}"; }

 private:
  std::string fields_;
};

}  // namespace tessera
