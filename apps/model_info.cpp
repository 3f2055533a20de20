// `tessera model info`.
#include <fmt/ranges.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/counted.h"
#include "apps/gpu_prediction.h"
#include "apps/model_cost.h"
#include "apps/model_file.h"
#include "apps/size_text.h"
#include "apps/terminal_text.h"
#include "apps/verbs.h"
#include "engine/core/memory_table.h"
#include "engine/training/weights.h"
#include "models/registry.h"

namespace tessera {

namespace {

// The tensors of a weight file that belong to its network, of all it has: a backbone alone is a part.
struct TensorShare {
  int64_t present = 0, all = 0;
};

TensorShare share_of(const ModelConfig& config, const SafetensorsFile& file) {
  ParameterStore store;
  const std::unique_ptr<System> system = make_system(config, store);
  TensorShare share;
  for (const Parameter& parameter : store.parameters()) {
    ++share.all;
    share.present += file.find(parameter.name) != nullptr;
  }
  return share;
}

// A valid file that says nothing of a network of ours: what it holds.
int list_tensors(const CommonOptions& common, const SafetensorsFile& file) {
  int64_t elements = 0;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const SafetensorsEntry& entry : file.entries()) {
    elements += entry.elements();
    list.push_back({{"name", entry.name}, {"dtype", entry.dtype}, {"shape", entry.shape}});
  }
  if (common.json) {
    const nlohmann::ordered_json json = {{"elements", elements}, {"tensors", list}};
    fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return 0;
  }
  fmt::print("{}: {}, {} elements; not a model of this program\n", file.path().string(),
             counted(static_cast<int64_t>(file.entries().size()), "tensor"), elements);
  for (const SafetensorsEntry& entry : file.entries())
    fmt::print("{:<60} {:<5} [{}]\n", terminal_text(entry.name), entry.dtype, fmt::join(entry.shape, ", "));
  return 0;
}

}  // namespace

int run_model_info(const CommonOptions& common, const ModelInfoOptions& options) {
  const auto [height, width] = parse_size(options.size);
  if (options.batch < 1) throw Error(ExitCode::usage, "--batch must be at least 1", "--batch 1");
  std::optional<SafetensorsFile> weights;
  if (!is_config(options.model)) {
    weights.emplace(options.model);
    if (!weights->metadata().contains(std::string(kMetadataConfig))) return list_tensors(common, *weights);
  }
  const ModelConfig config = read_model_config(options.model);
  const std::optional<TensorShare> share = weights ? std::optional(share_of(config, *weights)) : std::nullopt;
  if (options.predict_gpu) {
    const GpuForecast forecast = forecast_gpu(config, options.batch, height, width);
    if (common.json) {
      std::printf("%s", forecast_json(forecast).c_str());
    } else {
      print_forecast(forecast);
    }
    return 0;
  }
  const ModelCost cost = model_cost(config, options.batch, height, width);
  if (common.json) {
    nlohmann::ordered_json json;
    json["parameters"] = cost.parameters;
    json["macs"] = cost.macs;
    if (share) json.update({{"tensors_in_file", share->present}, {"tensors_of_model", share->all}});
    json["batch"] = options.batch;
    json["size"] = {height, width};
    json["saved_activation_bytes"] = cost.saved_bytes;
    json["inference_bytes"] = cost.inference_bytes;
    json["stages"] = nlohmann::ordered_json::array();
    for (const ModelStage& stage : cost.stages) {
      json["stages"].push_back({{"name", stage.name},
                                {"parameters", stage.parameters},
                                {"macs", stage.macs},
                                {"activation_bytes", stage.activation_bytes}});
    }
    std::printf("%s\n", json.dump().c_str());
    return 0;
  }
  fmt::print("{}: {} class{}, batch {} at {}x{}\n", options.model, config.classes, config.classes == 1 ? "" : "es",
             options.batch, height, width);
  if (share && share->present < share->all)
    fmt::print("partial: {} of {} tensors; the numbers are of the whole network\n", share->present, share->all);
  fmt::print("{:<18} {:>14} {:>12} {:>14}\n", "stage", "parameters", "GMAC", "activations");
  for (const ModelStage& stage : cost.stages) {
    fmt::print("{:<18} {:>14} {:>12.3f} {:>14}\n", stage.name, stage.parameters, static_cast<double>(stage.macs) * 1e-9,
               format_bytes(static_cast<double>(stage.activation_bytes)));
  }
  fmt::print("{:<18} {:>14} {:>12.3f}\n", "total", cost.parameters, static_cast<double>(cost.macs) * 1e-9);
  fmt::print("inference: {} at most, weights included; a training step keeps {} for backward\n",
             format_bytes(static_cast<double>(cost.inference_bytes)),
             format_bytes(static_cast<double>(cost.saved_bytes)));
  return 0;
}

}  // namespace tessera
