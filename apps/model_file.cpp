#include "apps/model_file.h"

#include "apps/run_config.h"
#include "engine/training/weights.h"
#include "models/config_keys.h"
#include "models/registry.h"

namespace tessera {

bool is_config(const std::filesystem::path& file) { return file.extension() == ".json"; }

Config read_config(const std::filesystem::path& file) {
  if (is_config(file)) return Config::load(run_config_table(), file);
  const SafetensorsFile weights(file);
  return config_of(weights.metadata(), file);
}

ModelConfig read_model_config(const std::filesystem::path& file) { return model_config_from(read_config(file)); }

std::string unnamed_class(int label) { return fmt::format("class {}", label + 1); }

Model make_model(Context& context, const Config& config, std::vector<Category> categories, uint64_t seed,
                 bool training) {
  Model model{config, std::move(categories), std::make_unique<ParameterStore>(), nullptr};
  model.system = make_system(model_config_from(config), *model.parameters);
  model.parameters->allocate(context, seed, training);
  for (int label = static_cast<int>(model.categories.size()); label < model.system->classes(); ++label) {
    model.categories.push_back({label + 1, unnamed_class(label)});
  }
  return model;
}

void refuse_config_as_weights(const std::filesystem::path& file) {
  if (!is_config(file)) return;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    throw Error(ExitCode::weights, file.string() + ": no such file", "ls configs/*.json");
  }
  throw Error(ExitCode::weights, file.string() + ": a config holds no weights",
              "--weights random, or a .safetensors file");
}

Model load_model(Context& context, const std::filesystem::path& file, bool training) {
  refuse_config_as_weights(file);
  const SafetensorsFile weights(file);
  const Config config = config_of(weights.metadata(), file);
  Model model = make_model(context, config, categories_of(weights.metadata(), file), 0, training);
  load_weights(context, *model.parameters, weights);
  return model;
}

}  // namespace tessera
