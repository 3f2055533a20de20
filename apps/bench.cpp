// `tessera bench infer | train | ops | data`: median and spread of timed rounds, as a share of the machine's own peak
// of multiply-adds measured between them.
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/bench_binarize.h"
#include "apps/bench_data.h"
#include "apps/bench_kernels.h"
#include "apps/bench_ops.h"
#include "apps/check_ops.h"
#include "apps/machine.h"
#include "apps/model_convolutions.h"
#include "apps/model_cost.h"
#include "apps/model_evaluation.h"
#include "apps/progress.h"
#include "apps/size_text.h"
#include "apps/timing.h"
#include "apps/training_step.h"
#include "apps/verbs.h"
#include "data/synthetic/scenes.h"
#include "engine/core/dispatch.h"
#include "engine/core/memory_table.h"
#include "engine/core/precision.h"
#include "engine/core/rng.h"

namespace tessera {

namespace {

using Json = nlohmann::ordered_json;

Json timing_json(const Timing& timing) {
  return {
      {"median_ms", timing.median * 1e3}, {"fastest_ms", timing.fastest * 1e3}, {"slowest_ms", timing.slowest * 1e3}};
}

Json kernels_json(const std::vector<KernelBench>& rows) {
  Json json = Json::array();
  for (const KernelBench& row : rows) {
    json.push_back({{"name", row.name}, {"description", row.description}, {"forward", timing_json(row.forward)}});
    if (row.macs > 0) json.back()["macs"] = row.macs;
    if (row.training.median > 0) json.back()["training"] = timing_json(row.training);
  }
  return json;
}

Json conditions(const Context& context) {
  Json conditions = {{"device", backend_name(context.backend())}, {"processor", describe(find_processor())}};
  if (context.backend() == Backend::cpu) conditions["threads"] = static_cast<const CpuContext&>(context).threads();
  conditions["precision"] = precision_name(precision_of(context));
  return conditions;
}

std::string machine_text(const Context& context) {
  return context.backend() == Backend::cpu
             ? describe(find_processor())
             : fmt::format("{}, {}", backend_name(context.backend()), precision_name(precision_of(context)));
}

Json read_earlier(const std::string& file) {
  std::ifstream stream(file);
  Json before = Json::parse(stream, nullptr, false);
  if (!before.is_discarded()) return before;
  throw Error(ExitCode::usage, file + ": not the --json output of an earlier bench",
              "tessera bench ops --json > before.json");
}

// Ratio of each median of `now` to that of an earlier file, by the place in the document.
void compare(const std::string& file, const Json& now) {
  const Json before = read_earlier(file);
  const Json flat_before = before.flatten(), flat_now = now.flatten();
  for (const auto& [place, value] : flat_now.items()) {
    if (!place.ends_with("_ms") || !flat_before.contains(place) || !value.is_number()) continue;
    const double ratio = value.get<double>() / flat_before[place].get<double>();
    fmt::print("{:<50} {:>6.2f}x of before\n", place, ratio);
  }
}

void finish(const CommonOptions& common, const BenchOptions& options, const Json& result) {
  if (common.json) fmt::print("{}\n", result.dump());
  if (!options.compare.empty()) compare(options.compare, result);
}

Model bench_model(Context& context, const BenchOptions& options, bool training) {
  if (!options.random_weights) return load_model(context, options.model);
  return make_model(context, read_config(options.model), {}, 1, training);
}

Tensor random_images(Context& context, int batch, int height, int width, int divisor) {
  const auto padded = [&](int side) { return (side + divisor - 1) / divisor * divisor; };
  const Shape shape{batch, padded(height), padded(width), 3};
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  Rng rng(1, RandomPurpose::test);
  for (float& value : values) value = rng.uniform(-2, 2);
  return Tensor::from_host<float>(context, shape, values, "input");
}

size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

void check(const BenchOptions& options) {
  if (options.batch < 1 || options.rounds < 1)
    throw Error(ExitCode::usage, "--batch and --rounds must be at least 1", "--batch 1 --rounds 5");
  if (!options.compare.empty()) read_earlier(options.compare);  // before the minutes of a run, not after
}

}  // namespace

int run_bench_infer(const CommonOptions& common, const BenchOptions& options) {
  check(options);
  const auto [height, width] = parse_size(options.size);
  const std::unique_ptr<Context> context = common.context();
  const Model model = bench_model(*context, options, false);
  const ModelCost cost = model_cost(read_model_config(options.model), options.batch, height, width);
  const Tensor images = random_images(*context, options.batch, height, width, model.system->size_divisor());
  Progress progress("timing", 2 * options.rounds, common.quiet, 0, 1, "rounds");
  const Timing network = time_calls({.least_rounds = options.rounds,
                                     .multiply_adds = static_cast<double>(cost.macs),
                                     .peak = peak_of(*context),
                                     .on_round = [&](int64_t done) { progress.update(done); }},
                                    [&] {
                                      Tape tape(*context, Tape::Mode::forward);
                                      model.system->forward(tape, images);
                                      synchronize(*context);
                                    });
  const std::vector<ImageGeometry> geometry(static_cast<size_t>(options.batch),
                                            ImageGeometry{height, width, height, width});
  const bool graph = graph_wanted(*context, options.graph);
  Inference inference(*context, *model.system, {.graph = graph});
  const std::vector<float> pictures = images.to_host<float>(*context);
  const auto detect = [&] { inference.detect(pictures, images.shape(), geometry); };
  if (graph) detect();  // the second call records, see time_calls
  const Timing whole = time_calls(
      {.least_rounds = options.rounds, .on_round = [&](int64_t done) { progress.update(options.rounds + done); }},
      detect);
  progress.finish();
  const double gigaflops = 2e-9 * static_cast<double>(cost.macs) / network.median;
  const auto memory = static_cast<double>(context->allocator()->statistics().peak);
  Json result = {{"bench", "infer"},
                 {"model", options.model},
                 {"size", options.size},
                 {"batch", options.batch},
                 {"conditions", conditions(*context)},
                 {"network", timing_json(network)},
                 {"detect", timing_json(whole)},
                 {"graph_launches", inference.launches()},
                 {"gmac", 1e-9 * static_cast<double>(cost.macs)},
                 {"gflops", gigaflops},
                 {"peak_memory_bytes", memory}};
  if (network.peak > 0) {
    result["fma_peak_gflops"] = network.peak;
    result["share_of_peak"] = network.share_of_peak;
  }
  if (!common.json) {
    fmt::print("{} at {}, batch {}: {:.2f} GMAC; {}\n", options.model, options.size, options.batch,
               1e-9 * static_cast<double>(cost.macs), machine_text(*context));
    fmt::print("network            {}: {:.0f} GFLOP/s{}\n", timing_text(network), gigaflops,
               network.peak > 0 ? fmt::format(", {:.0f} % of the peak measured beside it ({:.0f})",
                                              100 * network.share_of_peak, network.peak)
                                : "");
    fmt::print("picture to masks   {}{}\n", timing_text(whole),
               graph ? fmt::format(", {} recorded launches", inference.launches()) : "");
    fmt::print("memory             {} at most\n", format_bytes(memory));
  }
  finish(common, options, result);
  return 0;
}

int run_bench_train(const CommonOptions& common, const BenchOptions& options) {
  check(options);
  const auto [height, width] = parse_size(options.size);
  const std::unique_ptr<Context> context = common.context();
  BenchOptions random = options;
  random.random_weights = options.random_weights || !options.model.ends_with(".json");
  const Model model = bench_model(*context, random, true);
  const ModelCost cost = model_cost(read_model_config(options.model), options.batch, height, width);
  const Tensor images = random_images(*context, options.batch, height, width, model.system->size_divisor());
  Batch batch;
  batch.count = options.batch;
  batch.height = static_cast<int>(images.extent(1));
  batch.width = static_cast<int>(images.extent(2));
  batch.images = images.to_host<float>(*context);
  // Objects as in generated scenes, on a square of the picture.
  const int side = std::max(16, std::min(height, width));
  for (int i = 0; i < options.batch; ++i) {
    ImageTargets& targets = batch.targets.emplace_back();
    targets.height = height;
    targets.width = width;
    for (const SceneObject& object : make_scene(1, static_cast<uint64_t>(i), {.size = side}).objects) {
      Bitmap mask{height, width, std::vector<uint8_t>(static_cast<size_t>(height) * width)};
      for (int y = 0; y < std::min(side, height); ++y) {
        for (int x = 0; x < std::min(side, width); ++x)
          mask.pixels[static_cast<size_t>(y) * width + x] = object.mask.at(y, x);
      }
      targets.objects.push_back({object.box, object.label % model.system->classes(), std::move(mask)});
    }
    batch.geometry.push_back({height, width, height, width});
  }
  TrainingStep step(*context, model, model.config);
  int64_t iteration = 0;
  Progress progress("timing", options.rounds, common.quiet, 0, 1, "rounds");
  const Timing timing = time_calls({.least_rounds = options.rounds,
                                    .peak = peak_of(*context),
                                    .on_round = [&](int64_t done) { progress.update(done); }},
                                   [&] {
                                     step.run(batch, iteration++);
                                     synchronize(*context);
                                   });
  progress.finish();
  const double rate = options.batch / timing.median;
  const auto memory = static_cast<double>(context->allocator()->statistics().peak);
  Json result = {{"bench", "train"},
                 {"model", options.model},
                 {"size", options.size},
                 {"batch", options.batch},
                 {"conditions", conditions(*context)},
                 {"step", timing_json(timing)},
                 {"images_per_second", rate},
                 {"forward_gmac", 1e-9 * static_cast<double>(cost.macs)},
                 {"peak_memory_bytes", memory}};
  if (timing.peak > 0) result["fma_peak_gflops"] = timing.peak;
  if (!common.json) {
    fmt::print("{} at {}, batch {}; {}\n", options.model, options.size, options.batch, machine_text(*context));
    fmt::print("training step      {}: {:.2f} pictures/s\n", timing_text(timing), rate);
    fmt::print("memory             {} at most\n", format_bytes(memory));
  }
  finish(common, options, result);
  return 0;
}

[[noreturn]] void refuse_filter(const BenchOptions& options) {
  throw Error(ExitCode::usage, fmt::format("--filter {}: no row has that in its name", options.filter),
              "tessera bench ops --filter 1x1");
}

int check_bench_ops(const CommonOptions& common, const BenchOptions& options, Context& device) {
  const std::string name = backend_name(device.backend());
  if (device.backend() == Backend::cpu) {
    throw Error(ExitCode::usage, "--check-only compares a device with the cpu backend", "--device emulated");
  }
  CpuContext reference(common.threads);
  std::vector<OpComparison> comparisons;
  for (const OpCheck& op : op_checks()) {
    if (op.name.find(options.filter) != std::string::npos) comparisons.push_back(compare_op(op, reference, device));
  }
  if (comparisons.empty()) refuse_filter(options);
  if (common.json) {
    fmt::print("{}", comparisons_json(comparisons, name));
  } else {
    print_comparisons(comparisons, name);
  }
  const bool all = std::all_of(comparisons.begin(), comparisons.end(), [](const auto& row) { return row.agrees(); });
  return static_cast<int>(all ? ExitCode::ok : ExitCode::check_failed);
}

int run_bench_ops(const CommonOptions& common, const BenchOptions& options) {
  check(options);
  const std::unique_ptr<Context> context = common.context();
  if (options.check_only) return check_bench_ops(common, options, *context);
  const auto [height, width] = parse_size(options.size);
  Progress progress("timing", 0, common.quiet, 0, 1, "shapes");
  BenchOpsOptions convolutions{.filter = options.filter, .on_row = [&](int64_t done) { progress.update(done); }};
  for (const std::string& config : options.shapes) {
    for (const BenchShape& shape : model_convolutions(read_model_config(config), options.batch, height, width)) {
      const auto same = [&](const BenchShape& other) { return describe(other) == describe(shape); };
      if (std::none_of(convolutions.shapes.begin(), convolutions.shapes.end(), same)) {
        convolutions.shapes.push_back(shape);
      }
    }
  }
  const OpsBench ops = bench_ops(*context, convolutions);
  progress.finish();
  const std::vector<KernelBench> kernels =
      bench_kernels(*context, {.filter = options.filter, .height = height, .width = width});
  const bool binarizes = std::string("grid_binarize").find(options.filter) != std::string::npos;
  if (ops.convolutions.empty() && kernels.empty() && !binarizes) refuse_filter(options);
  Json result = Json::parse(ops_bench_json(ops));
  result["operations"] = kernels_json(kernels);
  result["conditions"] = conditions(*context);
  if (!common.json) {
    if (!ops.convolutions.empty()) print_ops_bench(ops);
    print_kernels_bench(kernels);
  }
  if (binarizes && context->backend() != Backend::emulated) {  // 100 large masks
    CpuContext one_thread(1);
    const bool cpu = context->backend() == Backend::cpu;
    const BinarizeBench binarize = bench_binarize(cpu ? one_thread : *context);
    result["grid_binarize"] = {{"median_ms", binarize.milliseconds},  {"fastest_ms", binarize.fastest},
                               {"slowest_ms", binarize.slowest},      {"boxes", binarize.boxes},
                               {"megapixels", binarize.megapixels},   {"naive_ms", binarize.naive_milliseconds},
                               {"differing_bits", binarize.differing}};
    if (cpu) result["grid_binarize"]["threads"] = 1;
    if (!common.json) print_binarize_bench(binarize);
  }
  finish(common, options, result);
  return 0;
}

int run_bench_data(const CommonOptions& common, const BenchOptions& options) {
  check(options);
  Json result = {{"bench", "data"}, {"processor", describe(find_processor())}};
  std::filesystem::path annotations = options.annotations;
  const bool made_up = annotations.empty();
  if (made_up) {
    annotations = std::filesystem::temp_directory_path() / "tessera-bench-annotations.json";
    write_annotation_file(annotations);
  }
  const double megabytes = 1e-6 * static_cast<double>(std::filesystem::file_size(annotations));
  size_t held = 0;
  Progress progress("reading", options.rounds, common.quiet, 0, 1, "rounds");
  const Timing reading =
      time_calls({.least_rounds = options.rounds, .on_round = [&](int64_t done) { progress.update(done); }},
                 [&] { held = read_coco(annotations, {.need_masks = false, .need_file_names = false}).bytes(); });
  progress.finish();
  if (made_up) std::filesystem::remove(annotations);
  result["read_annotations"] = timing_json(reading);
  result["read_annotations"]["megabytes"] = megabytes;
  result["read_annotations"]["held_bytes"] = held;
  result["read_annotations"]["process_peak_bytes"] = peak_resident_bytes();
  if (!common.json) {
    fmt::print("annotations, {:.0f} MB  {}; arrays {}, process {} at most\n", megabytes, timing_text(reading),
               format_bytes(static_cast<double>(held)), format_bytes(static_cast<double>(peak_resident_bytes())));
  }
  const EvaluationBench evaluation = bench_evaluation(5000, 100, common.threads);
  result["evaluate_segm"] = {{"images", evaluation.images},
                             {"detections", evaluation.detections},
                             {"wall_ms", 1e3 * evaluation.seconds},
                             {"AP", evaluation.ap}};
  if (!common.json) {
    fmt::print("segm evaluation of {} pictures with {} detections: {:.2f} s\n", evaluation.images,
               evaluation.detections, evaluation.seconds);
  }
  if (!options.images.empty()) {
    if (made_up)
      throw Error(ExitCode::usage, "--images without --data",
                  "tessera bench data --data annotations.json --images DIR");
    const EvaluationSet set = read_evaluation_set(options.annotations, options.images);
    const size_t count = std::min<size_t>(set.dataset.images().size(), 64);
    double megapixels = 0;
    const Timing decoding = time_calls({.least_rounds = options.rounds}, [&] {
      megapixels = 0;
      for (size_t i = 0; i < count; ++i)
        megapixels +=
            1e-6 * static_cast<double>(
                       load_dataset_image(set.dataset, static_cast<int>(i), set.images).image.pixels.size() / 3);
    });
    result["decode"] = timing_json(decoding);
    result["decode"]["pictures"] = count;
    result["decode"]["megapixels_per_second"] = megapixels / decoding.median;
    if (!common.json)
      fmt::print("decoding {} pictures {}: {:.0f} Mpx/s on one thread\n", count, timing_text(decoding),
                 megapixels / decoding.median);
  }
  finish(common, options, result);
  return 0;
}

}  // namespace tessera
