// The program: parses the command line, calls a verb, turns errors into one line, a hint and an exit code.
#include <unistd.h>

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "apps/terminal_text.h"
#include "apps/verbs.h"
#include "apps/weights_verbs.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

using Run = std::function<int()>;

constexpr const char* kVersion = "tessera 1.0.0";

void add_common(CLI::App* verb, CommonOptions& common) {
  verb->add_option("--device", common.device, "auto, cpu, cuda[:N] or emulated")->capture_default_str();
  verb->add_option("--precision", common.precision,
                   "of convolutions: fp32 or bf16, on a GPU also tf32, fp16 or fp16-chunked")
      ->capture_default_str();
  verb->add_option("--tuning", common.tuning, "file of convolution kernels measured on this GPU; made where absent");
  verb->add_option("--threads", common.threads, "worker threads, 0 = all cores")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  verb->add_option("--seed", common.seed, "seed of everything random");
  verb->add_flag("--deterministic", common.deterministic,
                 "refuse what may change bits between runs: --tuning; without it they never change");
  verb->add_flag("--json", common.json, "machine-readable result on stdout");
  verb->add_flag("-q,--quiet", common.quiet, "no progress, no notes");
  verb->add_flag("-v,--verbose", common.verbose, "more notes: memory table, timings");
}

void add_size_limit(CLI::App* verb, PictureOptions& pictures) {
  verb->add_option("--max-megapixels", pictures.max_megapixels, "refuse larger pictures by their header")
      ->check(CLI::Range(1.0, static_cast<double>(kMostMegapixels)))
      ->capture_default_str();
}

// Of verbs that read the pictures a COCO file names.
void add_picture_options(CLI::App* verb, PictureOptions& pictures) {
  add_size_limit(verb, pictures);
  verb->add_flag("--allow-outside", pictures.allow_outside, "read file names that are absolute or lead out by ..");
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* help, CommonOptions& common, Run& chosen, Run run) {
  CLI::App* verb = parent.add_subcommand(name, help);
  add_common(verb, common);
  verb->callback([&chosen, run = std::move(run)] { chosen = run; });
  return verb;
}

// What to try where an error does not say: the manual of what was typed, or a look at the machine.
std::string hint_of(const Error& error, const std::string& typed) {
  if (!error.hint().empty()) return error.hint();
  return error.code() == ExitCode::usage ? typed + " --help" : "tessera doctor";
}

int fail(const Error& error, const std::string& typed) {
  std::fprintf(stderr, "error: %s\n", terminal_text(error.what()).c_str());
  std::fprintf(stderr, "  try: %s\n", terminal_text(hint_of(error, typed)).c_str());
  return static_cast<int>(error.code());
}

// The deepest verb that was typed ("tessera data check"), and the word behind it where a verb was due.
struct TypedVerb {
  std::string path = "tessera";
  std::string unknown;
  std::vector<std::string> known;  // of `unknown`'s place
};

TypedVerb typed_verb(CLI::App& app, int argc, char** argv) {
  TypedVerb typed;
  CLI::App* level = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    const auto verbs = level->get_subcommands([](CLI::App*) { return true; });
    if (verbs.empty()) break;
    typed.known.clear();
    for (const CLI::App* verb : verbs) typed.known.push_back(verb->get_name());
    const auto next =
        std::find_if(verbs.begin(), verbs.end(), [&](const CLI::App* verb) { return verb->get_name() == argv[i]; });
    if (next == verbs.end()) {
      typed.unknown = argv[i];
      break;
    }
    level = *next;
    typed.path += std::string(" ") + argv[i];
  }
  return typed;
}

int run(int argc, char** argv) {
  CLI::App app{"tessera: trains and runs instance segmentation by GridMask, YOLACTR and SOTR, no framework needed"};
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every verb");
  app.set_version_flag("--version", kVersion);
  app.failure_message(CLI::FailureMessage::simple);
  CommonOptions common;
  Run chosen;

  DemoOptions demo;
  CLI::App* verb = add_verb(app, "demo", "generate scenes, train a small GridMask, evaluate, write a report", common,
                            chosen, [&] { return run_demo(common, demo); });
  verb->add_option("--out", demo.out, "folder of everything the demo writes")->capture_default_str();
  verb->add_flag("--compare-k", demo.compare_k, "train k=1 beside k=3 on the same budget");
  verb->add_option("overrides", demo.overrides, "config keys as key=value");

  TrainOptions train;
  verb = add_verb(app, "train", "train a model on a COCO-format data set", common, chosen,
                  [&] { return run_train(common, train); });
  verb->add_option("config", train.config, "config, e.g. configs/gridmask_fcos_tiny_nuclei.json");
  verb->add_option("overrides", train.overrides, "config keys as key=value, e.g. train.batch=4");
  verb->add_option("--out", train.out, "new run folder");
  verb->add_option("--resume", train.resume, "go on with a stopped run, exactly");
  verb->add_flag("--help-keys", train.help_keys, "print every config key with type, default and range");
  verb->add_option("--init", train.init, "start from these weights (fine-tune)");

  PredictOptions predict;
  std::string predict_weights_kind;
  std::string save = "overlay,json";
  verb = add_verb(app, "predict", "find objects in pictures; overlays, results.json, masks", common, chosen, [&] {
    predict.random_weights = predict_weights_kind == "random";
    predict.save = CLI::detail::split(save, ',');
    return run_predict(common, predict);
  });
  verb->add_option("weights", predict.weights, "weights file (or a config with --weights random)")->required();
  verb->add_option("inputs", predict.inputs, "pictures, folders, globs")->required();
  verb->add_option("-o,--out", predict.out, "output folder")->required();
  verb->add_option("--score", predict.score, "least score of a drawn object")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->add_option("--topk", predict.top_k, "most objects per picture")->capture_default_str();
  verb->add_option("--size", predict.size, "short side of the network input, 0 = as trained")
      ->check(CLI::Range(0, 1 << 14))
      ->capture_default_str();
  verb->add_option("--graph", predict.graph, "record and repeat the launches of pictures of equal size: auto, on, off")
      ->capture_default_str();
  verb->add_option("--save", save, "comma list of overlay, json, masks")->capture_default_str();
  verb->add_option("--weights", predict_weights_kind, "random: use a config without weights")
      ->check(CLI::IsMember({"random"}));
  add_size_limit(verb, predict.pictures);

  EvalOptions eval;
  verb = add_verb(app, "eval", "COCO metrics of a model or of a results file", common, chosen,
                  [&] { return run_eval(common, eval); });
  verb->add_option("weights", eval.weights, "weights file");
  verb->add_option("--data", eval.annotations, "COCO annotations (JSON)")->required();
  verb->add_option("--images", eval.images, "folder of the pictures");
  verb->add_option("--results", eval.results, "evaluate this results file, no model needed");
  verb->add_option("--iou", eval.iou, "segm or bbox")->check(CLI::IsMember({"segm", "bbox"}));
  verb->add_flag("--no-categories", eval.no_categories, "ignore the categories");
  verb->add_option("--cityscapes", eval.cityscapes, "ROOT/gtFine/SPLIT: also the metrics of the Cityscapes benchmark");
  verb->add_option("--save-results", eval.save_results, "also write the detections as a COCO results file");
  add_picture_options(verb, eval.pictures);

  ConvertOptions foreign;
  verb = add_verb(app, "convert", "weights of PyTorch programs into ours; strict, no Python", common, chosen,
                  [&] { return run_convert(common, foreign); });
  verb->add_option("input", foreign.input, ".pth, .pkl or .safetensors")->required();
  verb->add_option("output", foreign.output, ".safetensors")->required();
  verb->add_option("overrides", foreign.overrides, "config keys model.* and input.* as key=value");
  verb->add_option("--from", foreign.from,
                   "auto, raw, torchvision, detectron2, adelaidet, mmdet, tianzhi, sotr, solo or yolact")
      ->capture_default_str();
  verb->add_flag("--init", foreign.partial, "parts of a model are enough: for train --init");
  verb->add_option("--key", foreign.key, "entry of the file that holds the tensors, e.g. ema");
  verb->add_flag("--ignore-checksums", foreign.ignore_checksums, "of files that were saved without");

  CLI::App* model = app.add_subcommand("model", "parameters, multiply-adds, differences")->require_subcommand(1);
  ModelInfoOptions info;
  verb = add_verb(*model, "info", "parameters, multiply-adds and memory by stage", common, chosen,
                  [&] { return run_model_info(common, info); });
  verb->add_option("model", info.model, "config or weights file")->required();
  verb->add_option("--size", info.size, "input HEIGHTxWIDTH")->capture_default_str();
  verb->add_option("--batch", info.batch, "pictures per batch")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb->add_flag("--predict-gpu", info.predict_gpu, "what a model expects of every convolution on a GPU");
  ModelDiffOptions diff;
  verb = add_verb(*model, "diff", "differences between two weights files", common, chosen,
                  [&] { return run_model_diff(common, diff); });
  verb->add_option("first", diff.first, "weights file")->required();
  verb->add_option("second", diff.second, "weights file")->required();

  ModelCompareOptions compare;
  verb = add_verb(*model, "compare", "our activations beside a dump of PyTorch's", common, chosen,
                  [&] { return run_model_compare(common, compare); });
  verb->add_option("weights", compare.weights, "weights file")->required();
  verb->add_option("dump", compare.dump, "safetensors: \"input\" and activations by module (docs/weights.md)")
      ->required();
  verb->add_option("--from", compare.from, "whose module names: auto, torchvision, adelaidet, mmdet, ...")
      ->capture_default_str();
  verb->add_option("--tolerance", compare.tolerance, "greatest difference, as a share of the activation's scale")
      ->capture_default_str();

  CLI::App* data = app.add_subcommand("data", "look at and check data sets, generate scenes")->require_subcommand(1);
  DataOptions set;
  verb = add_verb(*data, "check", "named rules with the offending ids", common, chosen,
                  [&] { return run_data_check(common, set); });
  verb->add_option("annotations", set.annotations, "COCO annotations (JSON)")->required();
  verb->add_option("--images", set.images, "also check the pictures in this folder");
  verb->add_flag("--verify", set.verify, "open every picture, not only its header");
  add_picture_options(verb, set.pictures);
  verb = add_verb(*data, "stats", "counts and sizes by class", common, chosen,
                  [&] { return run_data_stats(common, set); });
  verb->add_option("annotations", set.annotations, "COCO annotations (JSON)")->required();
  verb = add_verb(*data, "show", "contact sheet of pictures with their masks", common, chosen,
                  [&] { return run_data_show(common, set); });
  verb->add_option("annotations", set.annotations, "COCO annotations (JSON)")->required();
  verb->add_option("--images", set.images, "folder of the pictures")->required();
  verb->add_option("-o,--out", set.out, "PNG or JPEG file")->required();
  add_picture_options(verb, set.pictures);
  verb->add_option("--count", set.count, "pictures on the sheet")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb = add_verb(*data, "generate", "scenes of overlapping textured shapes in COCO format", common, chosen,
                  [&] { return run_data_generate(common, set); });
  verb->add_option("-o,--out", set.out, "folder")->required();
  verb->add_option("--count", set.count, "scenes")->capture_default_str();
  verb->add_option("--size", set.size, "side of a scene in pixels")->capture_default_str();
  verb->add_option("--prefix", set.prefix, "name of the set")->capture_default_str();

  ConvertDataOptions convert;
  verb = add_verb(*data, "convert", "annotations of other data sets as COCO files", common, chosen,
                  [&] { return run_data_convert(common, convert); });
  verb->add_option("format", convert.format, "cityscapes")->required()->check(CLI::IsMember({"cityscapes"}));
  verb->add_option("root", convert.root, "folder of the data set (with leftImg8bit and gtFine)")->required();
  verb->add_option("-o,--out", convert.out, "folder of the COCO files")->required();
  verb->add_option("--split", convert.splits, "train, val or test; default: train and val");

  CLI::App* bench = app.add_subcommand("bench", "speed, with conditions, median and spread")->require_subcommand(1);
  BenchOptions speed;
  std::string bench_weights_kind;
  const auto add_bench = [&](const char* name, const char* help,
                             int (*function)(const CommonOptions&, const BenchOptions&)) {
    CLI::App* added = add_verb(*bench, name, help, common, chosen, [&, function] {
      speed.random_weights = bench_weights_kind == "random";
      return function(common, speed);
    });
    added->add_option("--rounds", speed.rounds, "timed rounds")->check(CLI::Range(1, 1 << 20))->capture_default_str();
    added->add_option("--compare", speed.compare, "earlier --json output to compare with");
    return added;
  };
  const auto add_bench_model = [&](CLI::App* added) {
    added->add_option("model", speed.model, "config or weights file")->required();
    added->add_option("--size", speed.size, "input HEIGHTxWIDTH")->capture_default_str();
    added->add_option("--batch", speed.batch, "pictures per batch")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    added->add_option("--weights", bench_weights_kind, "random: use a config without weights")
        ->check(CLI::IsMember({"random"}));
  };
  verb = add_bench("infer", "network and post-processing", run_bench_infer);
  add_bench_model(verb);
  verb->add_option("--graph", speed.graph, "picture to masks by recorded launches: auto (on GPUs), on, off")
      ->capture_default_str();
  add_bench_model(add_bench("train", "one training step", run_bench_train));
  verb = add_bench("ops", "convolutions and the other kernels, as a share of the machine's peak", run_bench_ops);
  verb->add_option("--filter", speed.filter, "only rows whose name contains this");
  verb->add_option("--model", speed.shapes,
                   "config: the convolutions of this model instead of a list; may be given again");
  verb->add_option("--size", speed.size, "picture HEIGHTxWIDTH: of the model, and of the other operations")
      ->capture_default_str();
  verb->add_option("--batch", speed.batch, "pictures per batch, of the model")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_flag("--check-only", speed.check_only,
                 "no timing: compare every op with the cpu, exit code 9 where one differs");
  verb = add_bench("data", "annotation reading, decoding, loading, evaluation", run_bench_data);
  verb->add_option("--data", speed.annotations, "COCO annotations; generated when absent");
  verb->add_option("--images", speed.images, "folder of the pictures");
  TurnsOptions turns;
  verb = add_verb(*bench, "turns", "one run for every line on standard input, beside other programs", common, chosen,
                  [&] { return run_bench_turns(common, turns); });
  verb->add_option("weights", turns.weights, "weights file")->required();
  verb->add_option("input", turns.input, "safetensors file of the pictures, to train also of their objects")
      ->required();
  verb->add_flag("--train", turns.train, "training steps instead of forward passes");

  add_verb(app, "doctor", "what this build and machine can do, and cures for what they cannot", common, chosen,
           [&] { return run_doctor(common); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    const TypedVerb typed = typed_verb(app, argc, argv);
    if (typed.unknown.empty()) return fail({ExitCode::usage, error.what()}, typed.path);
    return fail({ExitCode::usage, fmt::format("{} {}: no such verb; there are {}", typed.path, typed.unknown,
                                              fmt::join(typed.known, ", "))},
                typed.path);
  }
  try {
    return chosen();
  } catch (const Error& error) {
    return fail(error, typed_verb(app, argc, argv).path);
  }
}

}  // namespace
}  // namespace tessera

// Threads that wait for the next loop spin a little, then sleep. libgomp's default, to spin for milliseconds, halves
// the speed of everything as soon as one core is shared with another process; it reads the setting once, at program
// start.
static void limit_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "20000", 1);
  execv("/proc/self/exe", argv);  // where that fails the program goes on as it is
}

static constexpr const char* kLessMemory = "a smaller batch or picture size";

int main(int argc, char** argv) {
  limit_spinning(argv);
  try {
    return tessera::run(argc, argv);
  } catch (const tessera::Error& error) {
    return tessera::fail(error, "tessera");
  } catch (const tessera::DeviceFailure& failure) {
    return tessera::fail({tessera::ExitCode::device, failure.what(), failure.cure()}, "tessera");
  } catch (const tessera::DeviceOutOfMemory& error) {
    return tessera::fail({tessera::ExitCode::out_of_memory, error.what(), kLessMemory}, "tessera");
  } catch (const std::filesystem::filesystem_error& error) {
    const std::string place = error.path1().string();
    return tessera::fail({tessera::ExitCode::usage, place + ": " + error.code().message(), "ls -ld " + place},
                         "tessera");
  } catch (const std::bad_alloc&) {
    return tessera::fail({tessera::ExitCode::out_of_memory, "out of memory", kLessMemory}, "tessera");
  } catch (const std::exception& error) {
    return tessera::fail({tessera::ExitCode::internal, std::string("internal: ") + error.what()}, "tessera");
  }
}
