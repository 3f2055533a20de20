// `tessera model info` and `tessera model diff`.
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/gpu_prediction.h"
#include "apps/model_cost.h"
#include "apps/model_file.h"
#include "apps/size_text.h"
#include "apps/verbs.h"
#include "engine/core/memory_table.h"
#include "engine/io/safetensors.h"

namespace tessera {

int run_model_info(const CommonOptions& common, const ModelInfoOptions& options) {
  const auto [height, width] = parse_size(options.size);
  if (options.batch < 1) throw Error(ExitCode::usage, "--batch must be at least 1", "--batch 1");
  const ModelConfig config = read_model_config(options.model);
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
  fmt::print("{}: {} classes, batch {} at {}x{}\n", options.model, config.classes, options.batch, height, width);
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
