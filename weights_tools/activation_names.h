// Names of modules in dumps of PyTorch -> our names of the same activations.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weights_tools/name_table.h"

namespace tessera {

struct ActivationName {
  std::string name;
  bool coco91 = false;  // channels are COCO ids 0..90: ours are those of the 80 categories
};

// "head.classification_head.conv.0@2" -> "proposal_generator.fcos_head.cls_tower.0@2": a module is renamed as its
// weight is, a block by the table's own patterns. Nothing for modules that have no counterpart.
std::optional<ActivationName> activation_name(const SourceModel& model, std::string_view foreign);

// The model of a source ("auto": of all) that translates most of these names; null when none translates any.
const SourceModel* best_activation_names(const NameTables& tables, const std::string& from,
                                         const std::vector<std::string>& foreign);

}  // namespace tessera
