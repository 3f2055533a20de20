// `tessera train`.
#include "apps/run_config.h"
#include "apps/training_run.h"
#include "apps/verbs.h"
#include "engine/io/json_text.h"

namespace tessera {

int run_train(const CommonOptions& common, const TrainOptions& options) {
  if (options.help_keys) {
    fmt::print("{}", format_config_table(run_config_table()));
    return 0;
  }
  const bool resume = !options.resume.empty();
  if (resume && (!options.config.empty() || !options.overrides.empty() || !options.out.empty() ||
                 !options.init.empty() || common.seed)) {
    throw Error(ExitCode::usage, "--resume goes on exactly as the run began: no config, no keys, no other option",
                "tessera train --resume " + options.resume);
  }
  if (!resume && (options.config.empty() || options.out.empty())) {
    throw Error(ExitCode::usage, "a config and --out are needed (or --resume RUN)",
                "tessera train configs/gridmask_fcos_tiny_nuclei.json --out runs/first");
  }
  TrainingRunRequest request{Config(run_config_table()), resume ? options.resume : options.out, resume, options.init,
                             ""};
  if (resume) {
    if (!std::filesystem::exists(request.folder / "config.json")) {
      throw Error(ExitCode::usage, fmt::format("{}: no run to resume, it holds no config.json", options.resume),
                  "tessera train configs/gridmask_fcos_tiny_nuclei.json --out " + options.resume);
    }
    request.config.merge_file(request.folder / "config.json");
    request.command = "tessera train --resume " + options.resume;
  } else {
    request.config = Config::load(run_config_table(), options.config, options.overrides);
    if (common.seed) request.config.set("seed", static_cast<int64_t>(*common.seed), "--seed");
    request.command = "tessera train " + options.config;
    for (const std::string& assignment : options.overrides) request.command += " " + assignment;
    if (!options.init.empty()) request.command += " --init " + options.init;
    request.command += " --out " + options.out;
  }
  const TrainingRunResult result = train_in_folder(common, request);
  if (result.stopped) {
    fmt::print(stderr, "stopped after iteration {}, checkpoint saved\n  try: tessera train --resume {}\n",
               result.iterations, request.folder.string());
    return static_cast<int>(ExitCode::stopped);
  }
  if (common.json && result.evaluated) {
    fmt::print("{}\n", evaluations_to_json(evaluations_of(result.evaluation)));
  } else if (common.json) {
    const std::string report = (request.folder / "report.html").string();
    fmt::print("{}\n", JsonObject().add("weights", result.weights.string()).add("report", report).text());
  } else {
    if (result.evaluated) fmt::print("{}\n", evaluation_line(result.evaluation));
    fmt::print("{}\n{}\n", result.weights.string(), (request.folder / "report.html").string());
  }
  return 0;
}

}  // namespace tessera
