// The contract with users: verbs, exit codes, errors with a hint, outputs that appear whole.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/annotations/coco_results.h"
#include "engine/io/safetensors.h"
#include "tests/apps/program_fixture.h"
#include "tests/engine/io/event_decoder.h"
#include "tests/sanitized.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

using namespace testing_support;
using nlohmann::json;

TEST_F(Program, HelpNamesEveryVerb) {
  const ProgramResult help = run_program({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* verb : {"demo", "train", "predict", "eval", "model", "data", "bench", "doctor"}) {
    EXPECT_NE(help.out.find(verb), std::string::npos) << verb;
  }
}

TEST_F(Program, MistakesOnTheCommandLineAreNamed) {
  expect_error(run_program({"trian"}), 2, "");
  expect_error(run_program({"train"}), 2, "--out");
  expect_error(run_program({"train", "configs/absent.json", "--out", path("x")}), 2, "absent.json");
  expect_error(run_program(training("x", {"train.lerning_rate=1"})), 2, "train.learning_rate");
  expect_error(run_program(training("x", {"train.batch=0"})), 2, "train.batch");
  expect_error(run_program(training("x", {"model.classes=3"})), 3, "5 categories");
  expect_error(run_program({"model", "info", "configs/fcos_r50_1x.json", "--size", "800"}), 2, "HEIGHTxWIDTH");
  expect_error(run_program({"doctor", "--device", "gpu"}), 2, "gpu");
  expect_error(run_program({"eval", "x.safetensors", "--data", annotations(), "--images", images()}), 4,
               "x.safetensors");
  expect_error(run_program({"predict", "configs/fcos_r50_1x.json", images(), "-o", path("x")}), 4, "random");
  expect_error(run_program({"data", "chek", annotations()}), 2, "tessera data chek: no such verb; there are check, ");
  expect_error(run_program({"predict", "x.safetensors", images(), "-o", path("x"), "--score", "2"}), 2, "--score");
  expect_error(run_program({"predict", "x.safetensors", images(), "-o", path("x"), "--threads", "-1"}), 2, "--threads");
  expect_error(run_program({"predict", "x.safetensors", images(), "-o", path("x"), "--size", "-64"}), 2, "--size");
  for (const char* verb : {"infer", "train"}) {
    expect_error(run_program({"bench", verb, "configs/fcos_r50_1x.json", "--weights", "random", "--batch", "0"}), 2,
                 "--batch");
    expect_error(run_program({"bench", verb, "configs/fcos_r50_1x.json", "--weights", "random", "--rounds", "0"}), 2,
                 "--rounds");
  }
  expect_error(run_program({"data", "show", annotations(), "--images", images(), "-o", path("x"), "--count", "0"}), 2,
               "--count");
  EXPECT_FALSE(std::filesystem::exists(path("x")));
  // An error that has no hint of its own names the manual of its verb.
  EXPECT_NE(run_program(training("x", {"train.batch"})).err.find("  try: tessera train --help"), std::string::npos);
}

// Names in files of others must not talk to the terminal.
TEST_F(Program, ControlCharactersInFilesAreSpelledOut) {
  json set = json::parse(file_content(annotations()));
  set["images"][0]["file_name"] = "../\x1b[31m.png";
  std::ofstream(path("escape.json")) << set.dump();
  const ProgramResult check = run_program({"data", "check", path("escape.json")});
  EXPECT_EQ(check.exit_code, 3);
  EXPECT_EQ(check.out.find('\x1b'), std::string::npos) << check.out;
  EXPECT_NE(check.out.find("\\x1b[31m"), std::string::npos) << check.out;
  const ProgramResult stats = run_program({"data", "stats", path("escape.json")});
  EXPECT_EQ((stats.out + stats.err).find('\x1b'), std::string::npos);
}

TEST_F(Program, TrainsEvaluatesAndPredicts) {
  const std::string weights = trained();
  for (const char* file :
       {"config.json", "log.jsonl", "curves.svg", "report.html", "final.safetensors", "samples/sample_00.png"}) {
    EXPECT_GT(std::filesystem::file_size(path(std::string("trained/") + file)), 0u) << file;
  }
  const ProgramResult eval =
      run_program({"eval", weights, "--data", annotations(), "--images", images(), "--json", "-q"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  const json numbers = json::parse(eval.out);
  EXPECT_EQ(numbers["segm"]["per_category"].size(), 5u);
  EXPECT_TRUE(numbers["bbox"].contains("AR100"));

  const ProgramResult predict = run_program({"predict", weights, images(), "-o", path("predicted"), "--score", "0",
                                             "--save", "overlay,json,masks", "--json", "-q"});
  ASSERT_EQ(predict.exit_code, 0) << predict.err;
  EXPECT_EQ(json::parse(predict.out)["pictures"], 8);
  EXPECT_TRUE(std::filesystem::exists(path("predicted/scenes_00000.png")));
  EXPECT_EQ(static_cast<int64_t>(read_results(path("predicted/results.json")).size()),
            json::parse(predict.out)["objects"]);
}

// The whole comparison but for the length of its two trainings.
TEST_F(Program, DemoComparesTheGridWithOneCell) {
  if (kSanitized) GTEST_SKIP() << "its 3,200 scenes take minutes under a sanitizer";
  std::vector<std::string> arguments = {"demo",       "--compare-k",       "--json", "-q", "--out",
                                        path("demo"), "train.iterations=2"};
  arguments.insert(arguments.end(), kSmallRun.begin(), kSmallRun.end());
  const ProgramResult demo = run_program(arguments);
  ASSERT_EQ(demo.exit_code, 0) << demo.err;
  const json numbers = json::parse(demo.out);
  for (const char* grid : {"k3", "k1"}) {
    EXPECT_TRUE(numbers[grid]["segm"].contains("AP")) << numbers;
    EXPECT_TRUE(numbers[grid]["bbox"].contains("AP50")) << numbers;
    EXPECT_TRUE(std::filesystem::exists(path("demo") + "/" + grid + "/final.safetensors"));
  }
  EXPECT_NE(file_content(path("demo/report.html")).find("k = 1"), std::string::npos);
}

// Losses of the first logged iteration.
std::map<std::string, double> first_losses(const std::filesystem::path& folder) {
  std::ifstream log(folder / "log.jsonl");
  std::string line;
  std::getline(log, line);
  return json::parse(line)["losses"].get<std::map<std::string, double>>();
}

// What the kernels of the emulator compute is compared in tests/models/emulated_model_test.cpp; here the program takes
// all its steps on a device. Losses agree as they do there: 4e-6 of their size.
TEST_F(Program, TrainsAndPredictsOnTheEmulatedDevice) {
  const std::vector<std::vector<std::string>> systems = {
      {"train.iterations=2"},
      {"train.iterations=2", "train.optimizer=adamw", "train.learning_rate=0.001", "model.system=anchor_free_yolactr",
       "model.backbone.blocks=[1,1,1,1]", "model.backbone.channels=[8,8,16,16]", "model.anchor_free.layers=1",
       "model.anchor_free.grids=[8,6,4,3,2]", "model.anchor_free.ranges=[1,24,12,48,24,96,48,192,96,9999]",
       "model.anchor_free.mask_channels=16", "model.anchor_free.kernel_channels=16", "model.fpn.channels=32"}};
  for (const std::vector<std::string>& system : systems) {
    const std::string name = system.size() == 1 ? "gridmask" : "yolactr";
    std::map<std::string, double> losses[2];
    json predicted[2];
    for (const size_t emulated : {0, 1}) {
      const std::string folder = name + (emulated == 1 ? "_emulated" : "_cpu");
      const std::string device = emulated == 1 ? "emulated" : "cpu";
      std::vector<std::string> more = system;
      more.insert(more.end(), {"--device", device});
      const ProgramResult run = run_program(training(folder, more));
      ASSERT_EQ(run.exit_code, 0) << run.err;
      losses[emulated] = first_losses(path(folder));
      const ProgramResult predict =
          run_program({"predict", path(name + "_cpu") + "/final.safetensors", images() + "/scenes_0000[01].png", "-o",
                       path(folder + "_out"), "--device", device, "--score", "0", "--save", "json", "--json", "-q"});
      ASSERT_EQ(predict.exit_code, 0) << predict.err;
      predicted[emulated] = json::parse(predict.out);
    }
    ASSERT_GE(losses[0].size(), 3u);
    for (const auto& [part, value] : losses[0]) EXPECT_NEAR(losses[1].at(part), value, 4e-6 * value) << part;
    EXPECT_EQ(predicted[1]["pictures"], 2);
    EXPECT_EQ(predicted[1]["objects"], predicted[0]["objects"]);
  }
}

TEST_F(Program, ChecksTheOpsOfADevice) {
  std::vector<std::string> arguments = {"bench", "ops", "--device", "emulated", "--check-only", "--json"};
  // Under a sanitizer the norms alone: the tests of the ops run every kernel there.
  if (kSanitized) arguments.insert(arguments.end(), {"--filter", "norm"});
  const ProgramResult checked = run_program(arguments);
  ASSERT_EQ(checked.exit_code, 0) << checked.out << checked.err;
  const json document = json::parse(checked.out);
  EXPECT_EQ(document["agrees"], true);
  EXPECT_GT(document["checks"].size(), kSanitized ? 2u : 75u);
  expect_error(run_program({"bench", "ops", "--device", "emulated", "--check-only", "--filter", "no such"}), 2,
               "no such");
  expect_error(run_program({"bench", "ops", "--device", "cpu", "--check-only"}), 2, "--check-only");
}

TEST_F(Program, TimesOperationsAndConvolutionsOfAModel) {
  const ProgramResult timed =
      run_program({"bench", "ops", "--device", "cpu", "--model", "configs/gridmask_fcos_tiny_shapes.json", "--size",
                   "64x64", "--filter", "nms", "--json"});
  ASSERT_EQ(timed.exit_code, 0) << timed.err;
  const json document = json::parse(timed.out);
  EXPECT_TRUE(document["convolutions"].empty());
  ASSERT_EQ(document["operations"].size(), 2u);
  EXPECT_EQ(document["operations"][0]["name"], "nms 1000");
  EXPECT_GT(document["operations"][0]["forward"]["median_ms"], 0);
}

// A build that was made for GPUs says it, a build that was not has nothing to say.
TEST_F(Program, SaysThatItRunsOnTheCpuForWantOfAGpu) {
  if (std::filesystem::exists("/proc/driver/nvidia/version")) GTEST_SKIP() << "a driver is here";
#if TESSERA_CUDA
  constexpr bool kMadeForGpus = true;
#else
  constexpr bool kMadeForGpus = false;
#endif
  for (const bool quiet : {false, true}) {
    std::vector<std::string> arguments = {"bench", "ops", "--filter", "no such row"};
    if (quiet) arguments.push_back("-q");
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.err.find("no GPU: running on cpu\n") != std::string::npos, kMadeForGpus && !quiet) << result.err;
  }
}

// Less than fp32 reaches the convolutions of every verb: the loss of the first step moves, by no more than some
// roundings of operands do.
TEST_F(Program, PrecisionOfADevice) {
  const std::tuple<std::string, std::string, double> precisions[] = {{"emulated", "fp32", 0},
                                                                     {"emulated", "tf32", 0x1p-11},
                                                                     {"emulated", "bf16", 0x1p-8},
                                                                     {"emulated", "fp16", 0x1p-11},
                                                                     {"cpu", "bf16", 0x1p-8}};
  std::map<std::string, double> exact;
  for (const auto& [device, precision, rounding] : precisions) {
    if (kSanitized && (precision == "tf32" || precision == "fp16")) continue;  // the tests of the ops have them
    const std::string name = device + "_" + precision;
    const ProgramResult run =
        run_program(training(name, {"train.iterations=1", "--device", device, "--precision", precision}));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const std::map<std::string, double> losses = first_losses(path(name));
    if (exact.empty()) exact = losses;
    bool same = true;
    for (const auto& [part, value] : losses) {
      same = same && value == exact.at(part);
      EXPECT_NEAR(value, exact.at(part), 8 * rounding * exact.at(part)) << name << " " << part;
    }
    EXPECT_EQ(same, precision == "fp32");
  }
  for (const std::string device : {"cpu", "emulated"}) {
    const ProgramResult bench = run_program({"bench", "infer", trained(), "--size", "32x32", "--rounds", "1",
                                             "--device", device, "--precision", "bf16", "--json"});
    ASSERT_EQ(bench.exit_code, 0) << bench.err;
    EXPECT_EQ(json::parse(bench.out)["conditions"]["precision"], "bf16");
    EXPECT_EQ(json::parse(bench.out)["conditions"]["device"], device);
  }
}

// Recorded launches of a whole inference, through the program.
TEST_F(Program, GraphsOfADevice) {
  const auto bench = [&](const char* device, const char* graph) {
    return run_program({"bench", "infer", trained(), "--size", "32x32", "--rounds", "1", "--device", device, "--graph",
                        graph, "--json"});
  };
  const ProgramResult recorded = bench("emulated", "on"), direct = bench("emulated", "auto");
  ASSERT_EQ(recorded.exit_code, 0) << recorded.err;
  ASSERT_EQ(direct.exit_code, 0) << direct.err;
  EXPECT_GT(json::parse(recorded.out)["graph_launches"], 100);
  EXPECT_EQ(json::parse(direct.out)["graph_launches"], 0);
  expect_error(bench("cpu", "on"), 2, "--graph off");
  expect_error(bench("cpu", "perhaps"), 2, "--graph auto");
}

TEST_F(Program, PrecisionAndTuningAreOfGpus) {
  const auto with = [&](std::initializer_list<const char*> more) {
    std::vector<std::string> words = {
        "predict", "configs/gridmask_fcos_tiny_nuclei.json", images(), "-o", path("none"), "--weights", "random"};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words);
  };
  expect_error(with({"--device", "cpu", "--precision", "fp16"}), 2, "--precision bf16");
  expect_error(with({"--device", "emulated", "--precision", "half"}), 2, "fp16-chunked");
  expect_error(with({"--device", "cpu", "--tuning", "choices.json"}), 2, "--device cuda");
  expect_error(with({"--device", "cpu", "--tuning", "choices.json", "--deterministic"}), 2, "--deterministic alone");
}

// One untimed run, then one for each line of standard input, which is empty here.
TEST_F(Program, BenchTakesItsPicturesFromAFile) {
  const std::vector<float> picture(size_t{3} * 64 * 64, 0.5f), mask(size_t{64} * 64, 1.0f);
  const auto input = [&](float label) {
    const std::vector<float> object = {0, label, 8, 8, 56, 48};
    write_safetensors(path("input.safetensors"),
                      {{"input", {1, 3, 64, 64}, picture.data()},
                       {"objects", {1, 6}, object.data()},
                       {"masks", {1, 64, 64}, mask.data()}},
                      {});
    return path("input.safetensors");
  };
  const ProgramResult forward = run_program({"bench", "turns", trained(), input(1)});
  ASSERT_EQ(forward.exit_code, 0) << forward.err;
  EXPECT_EQ(json::parse(forward.out), json({{"ready", true}}));
  const ProgramResult train = run_program({"bench", "turns", trained(), input(1), "--train"});
  ASSERT_EQ(train.exit_code, 0) << train.err;
  EXPECT_EQ(json::parse(train.out)["losses"].size(), 4u);
  expect_error(run_program({"bench", "turns", trained(), input(5), "--train"}), 3, "label 5");
}

TEST_F(Program, RandomWeightsWhereWeightsAreNotNeeded) {
  const ProgramResult predict =
      run_program({"predict", "configs/gridmask_fcos_tiny_nuclei.json", images() + "/scenes_0000[01].png", "-o",
                   path("random"), "--weights", "random", "-q", "--json"});
  ASSERT_EQ(predict.exit_code, 0) << predict.err;
  EXPECT_EQ(json::parse(predict.out)["pictures"], 2);
}

// Iterations of the lines of one type in log.jsonl, in their order.
std::vector<int64_t> logged(const std::filesystem::path& folder, const std::string& type) {
  std::vector<int64_t> iterations;
  std::ifstream log(folder / "log.jsonl");
  for (std::string line; std::getline(log, line);) {
    const json parsed = json::parse(line);
    if (parsed["type"] == type) iterations.push_back(parsed["iteration"]);
  }
  return iterations;
}

// Steps of the events with a tag, in their order.
std::vector<int64_t> event_steps(const std::filesystem::path& folder, const std::string& tag) {
  std::vector<int64_t> steps;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("events.out.tfevents.")) continue;
    for (const DecodedEvent& event : EventDecoder(file_content(entry.path())).all()) {
      for (const auto& scalar : event.scalars) {
        if (scalar.first == tag) steps.push_back(event.step);
      }
    }
  }
  return steps;
}

TEST_F(Program, AResumedRunIsTheStraightRunForAnyNumberOfLoaderThreads) {
  const std::vector<std::string> schedule = {"train.iterations=12", "checkpoint.every=3"};
  const ProgramResult straight = run_program(training("straight", schedule));
  ASSERT_EQ(straight.exit_code, 0) << straight.err;

  std::vector<std::string> other = schedule;
  other.push_back("data.workers=3");
  ASSERT_EQ(run_program(training("threads", other)).exit_code, 0);

  // Stopped wherever the signal finds it, until it is done.
  ProgramResult run = run_program(training("resumed", other), 0.25);
  int stops = 0;
  while (run.exit_code == 75 && stops < 30) {
    EXPECT_NE(run.err.find("tessera train --resume"), std::string::npos) << run.err;
    run = run_program({"train", "--resume", path("resumed"), "-q", "--threads", "1"}, 0.25 + 0.05 * ++stops);
  }
  if (run.exit_code != 0) {  // the signal came before the run could save anything, or ended it while loading
    if (std::filesystem::exists(path("resumed/LATEST"))) {
      run = run_program({"train", "--resume", path("resumed"), "-q", "--threads", "1"});
    } else {
      std::filesystem::remove_all(path("resumed"));
      run = run_program(training("resumed", other));
    }
  }
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* file : {"final.safetensors", "checkpoint_00000012.safetensors"}) {
    const std::string expected = file_content(path(std::string("straight/") + file));
    EXPECT_FALSE(expected.empty());
    EXPECT_TRUE(expected == file_content(path(std::string("resumed/") + file))) << file << ": resumed run differs";
    EXPECT_TRUE(expected == file_content(path(std::string("threads/") + file)))
        << file << ": three loader threads differ";
  }
}

TEST_F(Program, ARunInterruptedAtFiveIterationsIsTheStraightRun) {
  ASSERT_EQ(run_program(training("whole", {"train.iterations=11"})).exit_code, 0);
  // Each leg ends as a stopped run does: with a checkpoint of its last iteration.
  const std::vector<std::string> legs = {"2", "3", "6", "7", "10"};
  std::string last = "11";
  ASSERT_EQ(run_program(training("legs", {"train.iterations=" + legs[0]})).exit_code, 0);
  for (size_t leg = 1; leg <= legs.size(); ++leg) {
    const std::string config = path("legs/config.json");
    json merged = json::parse(file_content(config));
    merged["train"]["iterations"] = std::stoi(leg < legs.size() ? legs[leg] : last);
    std::ofstream(config) << merged.dump();
    const ProgramResult run = run_program({"train", "--resume", path("legs"), "-q", "--threads", "1"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  EXPECT_TRUE(file_content(path("whole/final.safetensors")) == file_content(path("legs/final.safetensors")));
  EXPECT_TRUE(file_content(path("whole/checkpoint_00000011.safetensors")) ==
              file_content(path("legs/checkpoint_00000011.safetensors")));
  std::vector<int64_t> every;
  for (int64_t iteration = 1; iteration <= 11; ++iteration) every.push_back(iteration);
  EXPECT_EQ(logged(path("legs"), "train"), every);
  EXPECT_EQ(event_steps(path("legs"), "loss"), every);
}

// What a stop or a crash left behind is written once: also the evaluation of a run that had finished.
TEST_F(Program, AResumedRunLogsEveryPointOnce) {
  const std::vector<std::string> set = {"data.val.annotations=" + annotations(), "data.val.images=" + images()};
  ASSERT_EQ(
      run_program(training("points", {"train.iterations=4", "evaluate.every=2", "checkpoint.every=2", set[0], set[1]}))
          .exit_code,
      0);
  const auto resume = [] {
    const ProgramResult run = run_program({"train", "--resume", path("points"), "-q", "--threads", "1"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(logged(path("points"), "train"), (std::vector<int64_t>{1, 2, 3, 4}));
    EXPECT_EQ(logged(path("points"), "eval"), (std::vector<int64_t>{2, 4}));
    EXPECT_EQ(event_steps(path("points"), "loss"), (std::vector<int64_t>{1, 2, 3, 4}));
    EXPECT_EQ(event_steps(path("points"), "bbox/AP"), (std::vector<int64_t>{2, 4}));
  };
  resume();  // of a finished run
  std::filesystem::remove(path("points/checkpoint_00000004.safetensors"));
  resume();  // as if it had been killed before the last checkpoint
}

// The events are for looking at: a run that cannot write them says so and finishes.
TEST_F(Program, AFailingEventFileStopsNoRun) {
  std::filesystem::create_directories(path("no_events/events.out.tfevents.0.tessera"));
  const ProgramResult run = run_program(training("no_events", {"train.iterations=2"}));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.err.find("goes on without TensorBoard"), std::string::npos) << run.err;
  EXPECT_EQ(logged(path("no_events"), "train"), (std::vector<int64_t>{1, 2}));
}

TEST_F(Program, ARunFolderIsNotOverwritten) {
  trained();
  expect_error(run_program(training("trained", {"train.iterations=4"})), 2, "holds a run already");
  expect_error(run_program({"train", "--resume", path("nothing")}), 2, "nothing");
}

TEST_F(Program, NonFiniteLossStopsWithTheTensorNamed) {
  const ProgramResult run = run_program(
      training("diverged", {"train.iterations=40", "train.learning_rate=100", "train.clip=0", "train.warmup=0"}));
  expect_error(run, 5, "iteration ");
}

TEST_F(Program, PicturesWithoutObjectsAndSetsWithoutPictures) {
  json set = json::parse(file_content(annotations()));
  set["annotations"] = json::array();
  std::ofstream(path("empty.json")) << set.dump();
  const ProgramResult eval =
      run_program({"eval", trained(), "--data", path("empty.json"), "--images", images(), "--json", "-q"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_TRUE(json::parse(eval.out)["segm"]["AP"].is_null());
  std::vector<std::string> arguments = training("empty", {"train.iterations=2"});
  arguments[7] = "data.train.annotations=" + path("empty.json");
  expect_error(run_program(arguments), 3, "empty.json");
}

TEST_F(Program, ModelInfoPrintsTheTotalsOfThePaper) {
  const ProgramResult info =
      run_program({"model", "info", "configs/gridmask_fcos_r50_1x.json", "--size", "800x1344", "--json"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  const json numbers = json::parse(info.out);
  EXPECT_EQ(numbers["parameters"], 35457226);
  EXPECT_NEAR(numbers["macs"].get<double>(), 274.95e9, 0.275e9);
  int64_t parameters = 0, macs = 0;
  for (const json& stage : numbers["stages"]) {
    parameters += stage["parameters"].get<int64_t>();
    macs += stage["macs"].get<int64_t>();
  }
  EXPECT_EQ(parameters, 35457226);
  EXPECT_EQ(macs, numbers["macs"]);
  for (const auto& [config, total] :
       std::vector<std::pair<std::string, int64_t>>{{"gridmask_fcos_r101_1x", 54449354},
                                                    {"gridmask_fcos_x101_64x4d_2x", 93355466},
                                                    {"gridmask_fcos_x101_32x8d_1x", 98691530},
                                                    {"fcos_r50_1x", 32297370}}) {
    const ProgramResult other =
        run_program({"model", "info", "configs/" + config + ".json", "--size", "64x64", "--json"});
    ASSERT_EQ(other.exit_code, 0) << other.err;
    EXPECT_EQ(json::parse(other.out)["parameters"], total) << config;
  }
}

TEST_F(Program, ModelDiffComparesTensors) {
  const ProgramResult same = run_program({"model", "diff", trained(), trained()});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  ASSERT_EQ(run_program(training("seeded", {"train.iterations=1", "seed=9"})).exit_code, 0);
  EXPECT_EQ(run_program({"model", "diff", trained(), path("seeded/final.safetensors")}).exit_code, 9);
}

TEST_F(Program, DataToolsLookAtASet) {
  EXPECT_EQ(run_program({"data", "check", annotations(), "--images", images()}).exit_code, 0);
  const ProgramResult stats = run_program({"data", "stats", annotations(), "--json"});
  EXPECT_EQ(json::parse(stats.out)["images"], 8);
  EXPECT_EQ(run_program({"data", "show", annotations(), "--images", images(), "-o", path("sheet.png")}).exit_code, 0);
  EXPECT_GT(std::filesystem::file_size(path("sheet.png")), 1000u);
}

// A folder may have a name that is no UTF-8; what machines read is JSON all the same.
TEST_F(Program, MachineOutputIsJsonForAnyPath) {
  const std::string odd = path("\xff");
  const ProgramResult made = run_program({"data", "generate", "-o", odd, "--count", "1", "--size", "32", "--json"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(json::parse(made.out)["image_count"], 1);
  const ProgramResult check = run_program({"data", "check", odd + "/absent.json", "--json"});
  EXPECT_EQ(check.exit_code, 3) << check.err;
  EXPECT_EQ(json::parse(check.out).size(), 1u);
  const ProgramResult shown =
      run_program({"data", "show", annotations(), "--images", images(), "-o", path("shown.png"), "--json"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_EQ(json::parse(shown.out)["file"], path("shown.png"));
  const ProgramResult trained = run_program(training("\xff_run", {"train.iterations=1", "--json"}));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_TRUE(json::parse(trained.out).contains("weights"));
}

TEST_F(Program, EvaluatesForeignResultsAsTheirAuthorsDo) {
  TESSERA_REQUIRE_SHARED_DATA();
  const std::filesystem::path golden = shared_data() / "golden";
  const ProgramResult eval = run_program({"eval", "--results", golden / "dt_coco128.json", "--data",
                                          golden / "coco128_instances.json", "--iou", "segm", "--json", "-q"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_NEAR(json::parse(eval.out)["segm"]["AP"].get<double>(), 0.25679, 5e-6);
}

TEST_F(Program, MalformedFilesGetOneLineAHintAndTheirExitCode) {
  TESSERA_REQUIRE_SHARED_DATA();
  // Under a sanitizer every fifth: the tests of the readers, in one process, see them all.
  int refused = 0, seen = 0;
  const auto left_out = [&] { return kSanitized && seen++ % 5 != 0; };
  for (const auto& entry : std::filesystem::directory_iterator(shared_data() / "bad/json")) {
    if (left_out()) continue;
    const ProgramResult check = run_program({"data", "check", entry.path()});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << entry.path() << check.err;
    const ProgramResult eval = run_program({"eval", trained(), "--data", entry.path(), "--images", images(), "-q"});
    EXPECT_TRUE(eval.exit_code == 0 || eval.exit_code == 3) << entry.path() << eval.err;
    if (eval.exit_code == 3) {
      ++refused;
      EXPECT_EQ(eval.out, "") << entry.path();
      EXPECT_NE(eval.err.find("error: "), std::string::npos) << entry.path();
    }
  }
  EXPECT_GT(refused, kSanitized ? 5 : 30);
  for (const auto& entry : std::filesystem::directory_iterator(shared_data() / "bad/img")) {
    if (left_out()) continue;
    const std::string out = path("bad_" + entry.path().filename().string());
    const ProgramResult predict = run_program({"predict", trained(), entry.path(), "-o", out, "-q"});
    EXPECT_TRUE(predict.exit_code == 0 || predict.exit_code == 3) << entry.path() << predict.err;
    if (predict.exit_code == 3) {
      EXPECT_NE(predict.err.find("  try: "), std::string::npos) << predict.err;
      EXPECT_FALSE(std::filesystem::exists(out + "/results.json")) << entry.path();
    }
  }
}

}  // namespace
}  // namespace tessera
