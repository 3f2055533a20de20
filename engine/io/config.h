// The values of a run: defaults of the declared table, then the files of the "base" chain, then the config file, then
// `key=value` of the command line. Every mistake is an Error(usage) that names the file (or "command line") and the
// key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/io/config_table.h"

namespace tessera {

class Config {
 public:
  // All keys at their defaults. Checks the table (validate_config_table).
  explicit Config(ConfigTable table);

  // Defaults, then the file, then overrides such as "train.batch=4".
  static Config load(ConfigTable table, const std::filesystem::path& file,
                     const std::vector<std::string>& overrides = {});
  // From the text `to_json` made, e.g. out of the metadata of a weight file; source: named in errors.
  static Config from_json(ConfigTable table, std::string_view text, std::string_view source);

  // JSON with comments; objects nest or names are dotted: {"train": {"batch": 8}, "model.classes": 80}. "base": a file
  // beside this one that is merged first.
  void merge_file(const std::filesystem::path& file);
  void merge_json(std::string_view text, std::string_view source);
  // "train.batch=4", "train.steps=[60000, 80000]" or "train.steps=60000,80000", strings with or without quotes.
  void merge_override(std::string_view assignment);

  // Typed values; Error(internal) when the key is not declared or has another type. get_number takes integer keys too,
  // get_string choices too.
  bool get_bool(std::string_view key) const;
  int64_t get_int(std::string_view key) const;
  double get_number(std::string_view key) const;
  const std::string& get_string(std::string_view key) const;
  const std::vector<int64_t>& get_ints(std::string_view key) const;
  const std::vector<double>& get_numbers(std::string_view key) const;
  const std::vector<std::string>& get_strings(std::string_view key) const;

  // Set by code, e.g. the number of classes found in the annotations. Same checks; errors name `source`.
  void set(std::string_view key, ConfigValue value, std::string_view source = "program");
  // Whether a file, the command line or `set` gave the value.
  bool is_set(std::string_view key) const;
  // Where the value came from: a file, "command line", "default", ...
  const std::string& source_of(std::string_view key) const;

  // All values (or those whose name starts with prefix) as nested JSON, in the order of the table; indent -1: one line.
  std::string to_json(std::string_view prefix = "", int indent = 2) const;
  const ConfigTable& table() const { return table_; }

 private:
  struct Entry {
    ConfigValue value;
    std::string source = "default";
  };
  size_t index_of(std::string_view key) const;
  // asking: the file whose "base" this one is; empty: none.
  void merge_files(const std::filesystem::path& file, std::vector<std::filesystem::path>& chain,
                   const std::string& asking);
  void merge_text(std::string_view text, std::string_view source, std::vector<std::filesystem::path>* chain);
  template <typename T>
  const T& get(std::string_view key) const;

  ConfigTable table_;
  std::vector<Entry> entries_;  // one per key of the table
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace tessera
