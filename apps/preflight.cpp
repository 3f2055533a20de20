#include "apps/preflight.h"

#include "apps/counted.h"
#include "data/pipeline/training_set.h"

namespace tessera {

std::string missing_pictures_note(const std::vector<std::string>& missing, int64_t pictures, double quota,
                                  const std::string& annotations, const std::string& images) {
  if (missing.empty()) return {};
  std::string names;
  for (size_t i = 0; i < std::min(missing.size(), kNamedMissing); ++i) names += (i > 0 ? ", " : "") + missing[i];
  if (missing.size() > kNamedMissing) names += ", ...";
  const auto count = static_cast<int64_t>(missing.size());
  std::string text = fmt::format("{}: {} of {} missing: {}", annotations, count, counted(pictures, "picture"), names);
  if (static_cast<double>(count) > quota * static_cast<double>(pictures)) {
    throw Error(ExitCode::data, text, fmt::format("tessera data check {} --images {}", annotations, images));
  }
  return text;
}

void check_evaluation_set(const Model& model, const EvaluationSet& set) {
  labels_of(model, set);
  std::vector<std::string> missing = missing_images(set.dataset, set.images);
  for (std::string& name : missing) name = (set.images / name).string();
  missing_pictures_note(missing, static_cast<int64_t>(set.dataset.images().size()), 0, set.name, set.images.string());
}

}  // namespace tessera
