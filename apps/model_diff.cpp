// `tessera model diff`.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "engine/core/shape.h"
#include "engine/io/safetensors.h"

namespace tessera {

namespace {

struct TensorDifference {
  std::string name, kind;  // "only in first", "only in second", "shape", "values"
  double largest = 0, mean = 0;
};

std::string shape_text(const SafetensorsEntry& entry) { return Shape(entry.shape).to_string(); }

}  // namespace

int run_model_diff(const CommonOptions& common, const ModelDiffOptions& options) {
  const SafetensorsFile first(options.first), second(options.second);
  std::vector<TensorDifference> differences;
  int64_t equal = 0;
  for (const SafetensorsEntry& entry : first.entries()) {
    const SafetensorsEntry* other = second.find(entry.name);
    if (other == nullptr) {
      differences.push_back({entry.name, "only in first"});
    } else if (entry.shape != other->shape) {
      differences.push_back({entry.name, "shape " + shape_text(entry) + " and " + shape_text(*other)});
    } else {
      const std::vector<float> a = first.read_f32(entry), b = second.read_f32(*other);
      TensorDifference difference{entry.name, "values"};
      for (size_t i = 0; i < a.size(); ++i) {
        const double distance = std::abs(static_cast<double>(a[i]) - b[i]);
        difference.largest = std::isnan(distance) ? distance : std::max(difference.largest, distance);
        difference.mean += distance / static_cast<double>(a.size());
      }
      if (difference.largest == 0)
        ++equal;
      else
        differences.push_back(difference);
    }
  }
  for (const SafetensorsEntry& entry : second.entries()) {
    if (first.find(entry.name) == nullptr) differences.push_back({entry.name, "only in second"});
  }
  if (common.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const TensorDifference& difference : differences) {
      list.push_back({{"name", difference.name},
                      {"kind", difference.kind},
                      {"max", difference.largest},
                      {"mean", difference.mean}});
    }
    fmt::print("{}\n", nlohmann::ordered_json({{"equal", equal}, {"differences", list}}).dump());
  } else {
    for (const TensorDifference& difference : differences) {
      if (difference.kind == "values")
        fmt::print("{:<60} max {:.3g}  mean {:.3g}\n", difference.name, difference.largest, difference.mean);
      else
        fmt::print("{:<60} {}\n", difference.name, difference.kind);
    }
    fmt::print("{} tensors equal, {} differ\n", equal, differences.size());
  }
  return differences.empty() ? 0 : static_cast<int>(ExitCode::check_failed);
}

}  // namespace tessera
