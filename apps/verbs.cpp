#include "apps/verbs.h"

#include "engine/core/conv_tuning.h"
#include "engine/core/error.h"
#include "engine/core/precision.h"

namespace tessera {

std::unique_ptr<Context> CommonOptions::context() const {
  if (deterministic && !tuning.empty()) {
    throw Error(ExitCode::usage, "--tuning chooses kernels by measurement: bits depend on what was the fastest",
                "--deterministic alone");
  }
  std::unique_ptr<Context> context = make_context(parse_device(device), threads);
  set_precision(*context, parse_precision(precision));
  if (!tuning.empty()) tune_convolutions(*context, tuning);
  return context;
}

bool graph_wanted(const Context& context, const std::string& choice) {
  if (choice == "auto") return context.backend() == Backend::cuda;
  if (choice != "on" && choice != "off") {
    throw Error(ExitCode::usage, "--graph '" + choice + "': not one of auto, on, off", "--graph auto");
  }
  return choice == "on";
}

}  // namespace tessera
