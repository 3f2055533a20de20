// Text forms of an evaluation (data/evaluation/coco_eval.h).
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "data/evaluation/coco_eval.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

const char* name_of(OverlapKind kind) { return kind == OverlapKind::segm ? "segm" : "bbox"; }

nlohmann::ordered_json number(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

std::string evaluations_to_json(std::span<const CocoEvaluation> evaluations) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const CocoEvaluation& evaluation : evaluations) {
    nlohmann::ordered_json one;
    for (size_t i = 0; i < kCocoMetricNames.size(); ++i) one[kCocoMetricNames[i]] = number(evaluation.metrics[i]);
    nlohmann::ordered_json& categories = one["per_category"] = nlohmann::ordered_json::array();
    for (const CategoryPrecision& category : evaluation.per_category) {
      categories.push_back({{"id", category.id}, {"name", category.name}, {"AP", number(category.ap)}});
    }
    all[name_of(evaluation.overlap)] = std::move(one);
  }
  return all.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string evaluation_table(const CocoEvaluation& evaluation) {
  static constexpr std::array<const char*, 12> meaning = {"mean over overlaps 0.50 to 0.95",
                                                          "overlap 0.50",
                                                          "overlap 0.75",
                                                          "small objects, area up to 32 x 32",
                                                          "medium objects",
                                                          "large objects, area from 96 x 96",
                                                          "recall, 1 detection per picture",
                                                          "recall, 10 detections",
                                                          "recall, 100 detections",
                                                          "recall, small objects",
                                                          "recall, medium objects",
                                                          "recall, large objects"};
  std::string text = fmt::format("{}\n", evaluation.overlap == OverlapKind::segm ? "masks (segm)" : "boxes (bbox)");
  for (size_t i = 0; i < kCocoMetricNames.size(); ++i) {
    const char* size = i % 6 == 3 ? "small " : i % 6 == 4 ? "medium " : i % 6 == 5 ? "large " : "";
    const std::string value = evaluation.metrics[i] ? fmt::format("{:.3f}", *evaluation.metrics[i])
                                                    : fmt::format("n/a (no {}objects)", i < 6 || i > 8 ? size : "");
    fmt::format_to(std::back_inserter(text), "  {:<6}{}  {}\n", kCocoMetricNames[i], value,
                   evaluation.metrics[i] ? meaning[i] : "");
  }
  if (evaluation.per_category.size() > 1) {
    size_t width = 8;
    for (const CategoryPrecision& category : evaluation.per_category) width = std::max(width, category.name.size());
    fmt::format_to(std::back_inserter(text), "  {:<{}}  AP\n", "category", width);
    for (const CategoryPrecision& category : evaluation.per_category) {
      fmt::format_to(std::back_inserter(text), "  {:<{}}  {}\n", category.name, width,
                     category.ap ? fmt::format("{:.3f}", *category.ap) : "n/a (no objects)");
    }
  }
  return text;
}

}  // namespace tessera
