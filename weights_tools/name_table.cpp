#include "weights_tools/name_table.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace tessera {

namespace {

using Json = nlohmann::ordered_json;

// "{i+first}" with first = 3 -> "{i+3}"; "{name}" with name = "column" -> "column".
std::string with_values(std::string text, const Json& values) {
  for (const auto& [key, value] : values.items()) {
    if (value.is_string()) {
      const std::string whole = "{" + key + "}";
      for (size_t at = 0; (at = text.find(whole, at)) != std::string::npos;)
        text.replace(at, whole.size(), value.get<std::string>());
      continue;
    }
    for (size_t at = 0; (at = text.find(key, at)) != std::string::npos; ++at) {
      const size_t open = text.rfind('{', at), close = text.rfind('}', at);
      if (open == std::string::npos || (close != std::string::npos && close > open)) continue;
      text.replace(at, key.size(), std::to_string(value.get<int>()));
    }
  }
  return text;
}

class TableReader {
 public:
  TableReader(const Json& table, const std::map<std::string, Json>& shared) : shared_(shared) {
    if (table.contains("rules")) {
      for (const auto& [name, rules] : table["rules"].items()) own_[name] = rules;
    }
  }

  std::vector<NameRule> rules(const Json& list) const {
    std::vector<NameRule> rules;
    add_rules(list, "", "", Json::object(), rules);
    return rules;
  }

 private:
  void add_rules(const Json& list, const std::string& prefix, const std::string& to, const Json& values,
                 std::vector<NameRule>& rules) const {
    for (const Json& entry : list) {
      if (entry.is_object()) {
        const std::string name = entry.at("use");
        const auto found = own_.contains(name) ? own_.find(name) : shared_.find(name);
        TESSERA_CHECK(found != own_.end() && found != shared_.end(), "no rules '{}'", name);
        Json inner = values;
        for (const char* key : {"values", "words"}) {
          if (entry.contains(key)) inner.update(entry[key]);
        }
        add_rules(found->second, prefix + entry.value("prefix", ""), to + entry.value("to", ""), inner, rules);
        continue;
      }
      NameRule rule{NamePattern(with_values(prefix + entry.at(0).get<std::string>(), values),
                                with_values(to + entry.at(1).get<std::string>(), values))};
      if (entry.size() > 2) {
        const Json& options = entry[2];
        rule.coco91 = options.value("classes", "") == "coco91";
        rule.transposed = options.value("transposed", false);
        rule.one_element = options.value("one_element", false);
        rule.flattened = options.value("flattened", std::vector<int64_t>());
      }
      rules.push_back(std::move(rule));
    }
  }

  std::map<std::string, Json> own_;
  const std::map<std::string, Json>& shared_;
};

std::vector<NamePattern> patterns(const Json& model, const char* key) {
  std::vector<NamePattern> list;
  for (const Json& text : model.value(key, Json::array())) list.emplace_back(text.get<std::string>());
  return list;
}

SourceModel read_model(const std::string& source, const Json& json, const TableReader& table) {
  SourceModel model;
  model.source = source;
  model.model = json.at("model");
  model.whole = json.value("whole", false);
  model.has = patterns(json, "has");
  model.rules = table.rules(json.at("rules"));
  model.ignore = patterns(json, "ignore");
  for (const Json& entry : json.value("reject", Json::array())) {
    model.reject.emplace_back(NamePattern(entry.at(0).get<std::string>()), entry.at(1).get<std::string>());
  }
  for (const Json& entry : json.value("add", Json::array())) {
    model.added.push_back(
        {NamePattern(entry.at(0).get<std::string>(), entry.at(1).get<std::string>()), entry.at(2).get<float>()});
  }
  for (const Json& entry : json.value("activations", Json::array())) {
    model.activations.emplace_back(entry.at(0).get<std::string>(), entry.at(1).get<std::string>());
  }
  model.classes = json.value("classes", "");
  model.config = json.value("config", Json::object()).dump();
  const Json by_backbone = json.value("config_of_backbone", Json::object());
  for (const auto& [preset, config] : by_backbone.items()) model.config_of_backbone.emplace_back(preset, config.dump());
  return model;
}

}  // namespace

NameTables::NameTables() { read(name_table_texts()); }

NameTables::NameTables(std::span<const std::string_view> texts) { read(texts); }

void NameTables::read(std::span<const std::string_view> texts) {
  std::vector<Json> tables;
  std::map<std::string, Json> shared;
  try {
    for (const std::string_view text : texts) {
      tables.push_back(Json::parse(text.begin(), text.end(), nullptr, true, true));
      if (tables.back().contains("source")) continue;
      for (const auto& [name, rules] : tables.back().at("rules").items()) shared[name] = rules;
      for (const Json& entry : tables.back().at("coco")) coco_.push_back({entry.at(0), entry.at(1)});
    }
    for (const Json& table : tables) {
      if (!table.contains("source")) continue;
      const TableReader reader(table, shared);
      for (const Json& model : table.at("models")) models_.push_back(read_model(table["source"], model, reader));
    }
  } catch (const Json::exception& error) {
    throw Error(ExitCode::internal, fmt::format("name tables: {}", error.what()));
  }
}

std::vector<std::string> NameTables::sources() const {
  std::vector<std::string> names;
  for (const SourceModel& model : models_) {
    if (std::ranges::find(names, model.source) == names.end()) names.push_back(model.source);
  }
  return names;
}

}  // namespace tessera
