// `tessera convert`: other people's weights into ours, or any of them into safetensors as they are.
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "apps/model_file.h"
#include "apps/run_config.h"
#include "apps/weights_verbs.h"
#include "engine/core/error.h"
#include "engine/io/sha256.h"
#include "models/config_keys.h"
#include "models/registry.h"
#include "weights_tools/fit_check.h"

namespace tessera {

namespace {

std::string sha256_of(const std::string& path) {
  Sha256 sha;
  std::ifstream stream(path, std::ios::binary);
  std::vector<char> piece(size_t{1} << 20);
  while (stream.read(piece.data(), static_cast<std::streamsize>(piece.size())), stream.gcount() > 0)
    sha.update(piece.data(), static_cast<size_t>(stream.gcount()));
  return sha.finish();
}

std::vector<TargetTensor> targets_of(const Config& config) {
  ParameterStore store;
  const std::unique_ptr<System> system = make_system(model_config_from(config), store);
  std::vector<TargetTensor> targets;
  for (const Parameter& parameter : store.parameters()) {
    const auto extents = parameter.shape.extents();
    targets.push_back({parameter.name, {extents.begin(), extents.end()}});
  }
  return targets;
}

std::vector<Category> categories_of(const MappedModel& mapped, const NameTables& tables) {
  std::vector<Category> categories;
  if (mapped.coco) {
    for (const CocoClass& category : tables.coco()) categories.push_back({category.id, category.name});
  } else {
    for (int label = 0; label < mapped.classes; ++label) categories.push_back({label + 1, unnamed_class(label)});
  }
  return categories;
}

Config config_of(const MappedModel& mapped, const ConvertOptions& options) {
  Config config(run_config_table());
  config.merge_json(mapped.config, fmt::format("{} of {}", mapped.model->model, mapped.model->source));
  if (mapped.classes > 0) config.set("model.classes", mapped.classes, options.input);
  for (const std::string& assignment : options.overrides) {
    if (!assignment.starts_with("model.") && !assignment.starts_with("input.")) {
      throw Error(ExitCode::usage, fmt::format("{}: only keys model.* and input.* belong to weights", assignment),
                  "tessera train --help-keys");
    }
    config.merge_override(assignment);
  }
  return config;
}

ConvertCommand command_of(const ConvertOptions& options) {
  ConvertCommand command;
  command.output = options.output;
  if (!options.key.empty()) command.flags += " --key " + options.key;
  if (options.ignore_checksums) command.flags += " --ignore-checksums";
  for (const std::string& assignment : options.overrides) command.overrides += " " + assignment;
  return command;
}

void check_options(const ConvertOptions& options, const NameTables& tables) {
  std::string known = "auto, raw";
  bool found = options.from == "auto" || options.from == "raw";
  for (const std::string& source : tables.sources()) {
    known += ", " + source;
    found = found || options.from == source;
  }
  if (!found)
    throw Error(ExitCode::usage, fmt::format("--from {}: not known", options.from), "--from with one of " + known);
  if (options.from == "raw" && (options.partial || !options.overrides.empty()))
    throw Error(ExitCode::usage, "--from raw copies tensors as they are: --init and config keys have no meaning",
                "tessera convert --help");
  std::error_code ignored;
  if (std::filesystem::equivalent(options.input, options.output, ignored))
    throw Error(ExitCode::usage, fmt::format("{}: input and output are one file", options.output),
                "another output file");
}

}  // namespace

int run_convert(const CommonOptions& common, const ConvertOptions& options) {
  const NameTables tables;
  check_options(options, tables);
  const std::unique_ptr<ForeignFile> file =
      open_foreign_file(options.input, {.key = options.key, .ignore_checksums = options.ignore_checksums});
  std::future<std::string> sha = std::async(std::launch::async, sha256_of, options.input);

  const ConvertCommand again = command_of(options);
  MappedModel mapped;
  ConvertedTensors converted;
  size_t wanted = 0;   // tensors of the model that the config describes
  int64_t filled = 0;  // of these, by the file
  std::string system;
  Metadata metadata = {{"format", "pt"}};
  if (options.from == "raw") {
    converted = read_raw(*file);
  } else {
    mapped = map_names(*file, tables, options.from, again);
    const Config config = config_of(mapped, options);
    const std::vector<TargetTensor> targets = targets_of(config);
    wanted = targets.size();
    system = config.get_string("model.system");
    filled = check_fit(*file, mapped, targets, options.partial, again);
    converted = read_mapped(*file, mapped, again);
    metadata = model_metadata(config, categories_of(mapped, tables));
  }
  const std::string model = mapped.model ? fmt::format("{} of {}", mapped.model->model, mapped.model->source) : "raw";
  nlohmann::ordered_json source = {{"file", std::filesystem::path(options.input).filename().string()},
                                   {"format", file->format()},
                                   {"model", model},
                                   {"sha256", sha.get()}};
  metadata["source"] = source.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  write_raw_safetensors(options.output, converted.sources, metadata);

  if (converted.not_finite > 0 && !common.quiet) {
    fmt::print(stderr, "note: {} values are NaN or infinite, the first in {}\n", converted.not_finite,
               converted.first_not_finite);
  }
  if (common.json) {
    source.update({{"tensors", converted.sources.size()},
                   {"bytes", converted.bytes},
                   {"container", file->container()},
                   {"backbone", mapped.backbone},
                   {"filled", filled},
                   {"model_tensors", wanted},
                   {"ignored", mapped.ignored},
                   {"not_tensors", file->others()},
                   {"not_finite", converted.not_finite}});
    fmt::print("{}\n", source.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return 0;
  }
  fmt::print("{}: {}, ", options.output, model);
  if (!mapped.backbone.empty()) fmt::print("backbone {}, ", mapped.backbone);
  fmt::print("{} tensors, {:.1f} MB", converted.sources.size(), static_cast<double>(converted.bytes) / 1e6);
  if (options.partial) fmt::print("; {} of the {} tensors of a whole {}", filled, wanted, system);
  if (!mapped.ignored.empty()) fmt::print("; {} left out ({}, ...)", mapped.ignored.size(), mapped.ignored.front());
  fmt::print("\n");
  return 0;
}

}  // namespace tessera
