#include "apps/verbs.h"

#include <fmt/format.h>

#include "apps/machine.h"
#include "engine/core/conv_tuning.h"
#include "engine/core/error.h"
#include "engine/core/precision.h"

namespace tessera {

#if TESSERA_CUDA
static constexpr bool kMadeForGpus = true;
#else
static constexpr bool kMadeForGpus = false;
#endif

std::unique_ptr<Context> CommonOptions::context() const {
  if (deterministic && !tuning.empty()) {
    throw Error(ExitCode::usage, "--tuning chooses kernels by measurement: bits depend on what was the fastest",
                "--deterministic alone");
  }
  const Device chosen = parse_device(device);
  if (device == "auto" && chosen.backend == Backend::cpu) {
    const std::optional<DeviceFailure> unused = unused_gpu();
    if (find_gpu_driver()) {
      if (unused) fmt::print(stderr, "note: running on cpu: {}\n  try: {}\n", unused->what(), unused->cure());
    } else if (kMadeForGpus && !quiet) {
      fmt::print(stderr, "no GPU: running on cpu\n");
    }
  }
  std::unique_ptr<Context> context = make_context(chosen, threads);
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
