// What this program knows about the weight files of others: for every source a table (name_tables/*.json, built into
// the program) of its models, how to recognise them, and how their names and layouts become ours.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weights_tools/name_pattern.h"

namespace tessera {

struct NameRule {
  NamePattern pattern;
  bool coco91 = false;             // rows are COCO ids 0..90: those of the 80 categories are taken
  bool transposed = false;         // a transposed convolution, I, O, H, W in the file
  bool one_element = false;        // a scalar in the file, a vector of one element here
  std::vector<int64_t> flattened;  // C, H, W behind which a linear layer stands: its columns become H, W, C
};

// For every tensor of ours that matches and has no such companion in the file: one number for each of its rows.
struct AddedTensor {
  NamePattern pattern;  // to the name of the companion
  float value = 0;
};

struct SourceModel {
  std::string source;  // "torchvision"
  std::string model;   // "fcos"
  bool whole = false;  // a system of this program; others give backbone, pyramid and what a later model may take
  std::vector<NamePattern> has;  // all of these are in the file
  std::vector<NameRule> rules;   // the first that matches counts
  std::vector<NamePattern> ignore;
  std::vector<std::pair<NamePattern, std::string>> reject;  // with the reason
  std::vector<AddedTensor> added;
  std::vector<NamePattern> activations;  // modules without weights of their own: their names and ours
  std::string classes;                   // of ours: the tensor with one row per class; may be empty
  std::string config;                    // JSON: keys model.* and input.*
  std::vector<std::pair<std::string, std::string>> config_of_backbone;  // backbone preset -> JSON
};

struct CocoClass {
  int64_t id = 0;
  std::string name;
};

class NameTables {
 public:
  // Those built into the program.
  NameTables();
  // From JSON texts, the one with "coco" and shared rules first. Throws Error(internal) for a table that is wrong.
  explicit NameTables(std::span<const std::string_view> texts);

  const std::vector<SourceModel>& models() const { return models_; }
  const std::vector<CocoClass>& coco() const { return coco_; }
  std::vector<std::string> sources() const;

 private:
  void read(std::span<const std::string_view> texts);

  std::vector<SourceModel> models_;
  std::vector<CocoClass> coco_;
};

// The texts of name_tables/*.json; made by tools/embed_name_tables.sh when the program is built.
std::span<const std::string_view> name_table_texts();

}  // namespace tessera
