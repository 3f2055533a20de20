// `tessera demo`: from nothing to masks on pictures the network has never seen.
#include <chrono>
#include <thread>

#include "apps/progress.h"
#include "apps/run_config.h"
#include "apps/run_report.h"
#include "apps/training_run.h"
#include "apps/verbs.h"
#include "data/synthetic/scenes.h"
#include "engine/io/json_text.h"

namespace tessera {

namespace {

constexpr int kTrainScenes = 3000;
constexpr int kHeldOutScenes = 200;
constexpr int kSceneSize = 128;
// The scenes of one seed are numbered; held-out ones come from a part of the numbers that training never reaches.
constexpr uint64_t kHeldOutFirst = 1'000'000;
constexpr const char* kConfig = "configs/gridmask_fcos_tiny_shapes.json";

struct DemoData {
  SceneSet train, held_out;
};

DemoData generate(const CommonOptions& common, const std::filesystem::path& folder, uint64_t seed) {
  const auto begin = std::chrono::steady_clock::now();
  const int threads =
      common.threads > 0 ? common.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const SceneOptions options{.size = kSceneSize};
  DemoData data;
  Progress progress("generating", kTrainScenes + kHeldOutScenes, common.quiet, 0, 1, "scenes");
  data.train = write_scene_set(folder, "train", kTrainScenes, seed, 0, options, threads,
                               [&](int64_t done) { progress.update(done); });
  data.held_out = write_scene_set(folder, "held_out", kHeldOutScenes, seed, kHeldOutFirst, options, threads,
                                  [&](int64_t done) { progress.update(kTrainScenes + done); });
  progress.finish();
  if (!common.quiet) {
    fmt::print(stderr, "generated {} scenes with {} objects, and {} with {} held out, in {:.1f} s: {}\n",
               data.train.image_count, data.train.object_count, data.held_out.image_count, data.held_out.object_count,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), folder.string());
  }
  return data;
}

TrainingRunResult train_on(const CommonOptions& common, const DemoOptions& options, const DemoData& data,
                           const std::filesystem::path& folder, const std::vector<std::string>& more) {
  std::vector<std::string> overrides = {
      "data.train.annotations=" + data.train.annotations.string(), "data.train.images=" + data.train.images.string(),
      "data.val.annotations=" + data.held_out.annotations.string(), "data.val.images=" + data.held_out.images.string()};
  overrides.insert(overrides.end(), options.overrides.begin(), options.overrides.end());
  overrides.insert(overrides.end(), more.begin(), more.end());
  std::filesystem::remove_all(folder);  // a demo starts afresh
  TrainingRunRequest request{Config::load(run_config_table(), kConfig, overrides), folder, false, {}, "tessera demo"};
  if (common.seed) request.config.set("seed", static_cast<int64_t>(*common.seed), "--seed");
  return train_in_folder(common, request);
}

int stopped(const std::filesystem::path& folder) {
  fmt::print(stderr, "stopped, checkpoint saved\n  try: tessera train --resume {}\n", folder.string());
  return static_cast<int>(ExitCode::stopped);
}

void print_result(const std::string& name, const TrainingRunResult& result) {
  fmt::print("{}{}  ({:.0f} s of training)\n", name, evaluation_line(result.evaluation), result.training_seconds);
}

}  // namespace

int run_demo(const CommonOptions& common, const DemoOptions& options) {
  if (!std::filesystem::exists(kConfig)) {
    throw Error(ExitCode::usage, fmt::format("{}: not found; the demo runs in the project's folder", kConfig),
                "cd PROJECT && build/tessera demo");
  }
  const std::filesystem::path out = options.out;
  std::filesystem::create_directories(out);
  const DemoData data = generate(common, out / "data", common.seed.value_or(1));
  if (!options.compare_k) {
    const TrainingRunResult result = train_on(common, options, data, out / "run", {});
    if (result.stopped) return stopped(out / "run");
    std::filesystem::copy_file(out / "run/report.html", out / "report.html",
                               std::filesystem::copy_options::overwrite_existing);
    if (common.json) {
      fmt::print("{}\n", evaluations_to_json(evaluations_of(result.evaluation)));
    } else {
      print_result("200 held-out scenes: ", result);
      fmt::print("look at: {}\n", (out / "report.html").string());
    }
    return 0;
  }

  const TrainingRunResult grid = train_on(common, options, data, out / "k3", {"model.gridmask.k=3"});
  if (grid.stopped) return stopped(out / "k3");
  const TrainingRunResult plain = train_on(common, options, data, out / "k1", {"model.gridmask.k=1"});
  if (plain.stopped) return stopped(out / "k1");
  const auto compared = [&](const char* name, const char* folder, const TrainingRunResult& result) {
    const double pictures = static_cast<double>(result.steps_in_process * result.batch);
    return ComparedRun{name,
                       out / folder,
                       &result.evaluation,
                       result.parameters,
                       pictures / result.training_seconds,
                       result.training_seconds};
  };
  write_comparison_report(out / "report.html", "A grid of 3 x 3 cells against one cell",
                          {compared("k = 3", "k3", grid), compared("k = 1", "k1", plain)});
  if (common.json) {
    const std::string with = evaluations_to_json(evaluations_of(grid.evaluation));
    const std::string without = evaluations_to_json(evaluations_of(plain.evaluation));
    fmt::print("{}\n", JsonObject().add_raw("k3", with).add_raw("k1", without).text());
    return 0;
  }
  print_result("k=3: ", grid);
  print_result("k=1: ", plain);
  const auto mask_ap = [](const ModelEvaluation& evaluation) {
    return evaluation.segm ? evaluation.segm->metric("AP") : std::nullopt;
  };
  const std::optional<double> with_grid = mask_ap(grid.evaluation), without = mask_ap(plain.evaluation);
  if (with_grid && without) fmt::print("the grid is worth {:+.3f} mask AP on the same budget\n", *with_grid - *without);
  fmt::print("look at: {}\n", (out / "report.html").string());
  return 0;
}

}  // namespace tessera
