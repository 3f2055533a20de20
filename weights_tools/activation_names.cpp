#include "weights_tools/activation_names.h"

namespace tessera {

std::optional<ActivationName> activation_name(const SourceModel& model, std::string_view foreign) {
  constexpr std::string_view kWeight = ".weight";
  const size_t at = foreign.find('@');
  const std::string module(foreign.substr(0, at));
  const std::string call(at == std::string_view::npos ? std::string_view() : foreign.substr(at));
  for (const NamePattern& pattern : model.activations) {
    if (const std::optional<std::string> name = pattern.apply(module)) return ActivationName{*name + call};
  }
  for (const NameRule& rule : model.rules) {
    std::optional<std::string> name = rule.pattern.apply(module + std::string(kWeight));
    if (name && name->ends_with(kWeight))
      return ActivationName{name->substr(0, name->size() - kWeight.size()) + call, rule.coco91};
  }
  return std::nullopt;
}

const SourceModel* best_activation_names(const NameTables& tables, const std::string& from,
                                         const std::vector<std::string>& foreign) {
  const SourceModel* best = nullptr;
  size_t most = 0;
  for (const SourceModel& model : tables.models()) {
    if (from != "auto" && from != model.source) continue;
    size_t count = 0;
    for (const std::string& name : foreign) count += activation_name(model, name).has_value();
    if (count <= most) continue;
    most = count;
    best = &model;
  }
  return best;
}

}  // namespace tessera
