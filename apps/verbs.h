// The verbs of the program: options as parsed from the command line, and a function each. The functions print results
// to stdout, messages to stderr, return the exit code and throw Error for everything a user can do wrong.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/picture_options.h"
#include "engine/core/device.h"

namespace tessera {

struct CommonOptions {
  std::string device = "auto";
  std::string precision = "fp32";  // of convolutions
  std::string tuning;              // file of measured convolution kernels; empty: none
  int threads = 0;                 // 0 = all cores
  std::optional<uint64_t> seed;
  bool deterministic = false;  // refuse a tuning file, the one thing that changes bits from run to run
  bool json = false;
  bool quiet = false;
  bool verbose = false;

  // Throws Error(usage) for a precision or a tuning file that the device has no use for.
  std::unique_ptr<Context> context() const;
};

// Whether the launches of an inference are recorded and repeated (models/inference.h). choice: "on", "off", or "auto":
// on GPUs. Throws Error(usage) for other words.
bool graph_wanted(const Context& context, const std::string& choice);

struct TrainOptions {
  std::string config;                  // path; empty with resume
  std::vector<std::string> overrides;  // key=value
  std::string out;                     // new run folder
  std::string resume;                  // run folder to go on with, to the bit
  std::string init;                    // weights to start from
  bool help_keys = false;              // print the table of keys and do nothing else
};
int run_train(const CommonOptions& common, const TrainOptions& options);

struct PredictOptions {
  std::string weights;  // .safetensors, or a config with --weights random
  bool random_weights = false;
  std::vector<std::string> inputs;  // files, folders, globs
  std::string out;
  float score = 0.3f;
  int top_k = 100;
  int size = 0;                // short side of the network input, 0 = as trained
  std::string graph = "auto";  // graph_wanted
  std::vector<std::string> save = {"overlay", "json"};
  PictureOptions pictures;
};
int run_predict(const CommonOptions& common, const PredictOptions& options);

struct EvalOptions {
  std::string weights;
  std::string annotations;
  std::string images;
  std::string results;  // foreign results instead of weights
  std::string iou;      // segm | bbox; empty = both where the model has both
  bool no_categories = false;
  std::string save_results;
  std::string cityscapes;  // folder gtFine/SPLIT: also the metrics of the Cityscapes benchmark
  PictureOptions pictures;
};
int run_eval(const CommonOptions& common, const EvalOptions& options);

struct ModelInfoOptions {
  std::string model;  // config or weights
  std::string size = "800x1344";
  int batch = 1;
  bool predict_gpu = false;
};
int run_model_info(const CommonOptions& common, const ModelInfoOptions& options);

struct ModelDiffOptions {
  std::string first, second;
};
int run_model_diff(const CommonOptions& common, const ModelDiffOptions& options);

struct DataOptions {
  std::string annotations;
  std::string images;
  std::string out;
  int count = 12;  // pictures shown, or scenes generated
  int size = 128;  // of generated scenes
  std::string prefix = "scenes";
  bool verify = false;  // also open every picture
  PictureOptions pictures;
};
int run_data_check(const CommonOptions& common, const DataOptions& options);
int run_data_stats(const CommonOptions& common, const DataOptions& options);
int run_data_show(const CommonOptions& common, const DataOptions& options);
int run_data_generate(const CommonOptions& common, const DataOptions& options);

struct ConvertDataOptions {
  std::string format;               // cityscapes
  std::string root;                 // the unpacked data set
  std::string out;                  // folder of the COCO files
  std::vector<std::string> splits;  // empty: train and val, as far as they are there
};
// Exit code 3 when pictures had to be left out; the files hold the others.
int run_data_convert(const CommonOptions& common, const ConvertDataOptions& options);

struct BenchOptions {
  std::string model;           // config or weights
  std::string graph = "auto";  // bench infer: graph_wanted
  std::string size = "800x1344";
  int batch = 1;
  int rounds = 5;
  bool random_weights = false;
  std::string annotations, images;  // bench data
  std::string compare;              // an earlier --json output
  std::string filter;               // bench ops: only rows whose name contains it
  std::vector<std::string> shapes;  // bench ops: configs of the models whose convolutions are timed
  bool check_only = false;          // bench ops: compare a device with the CPU, exit code 1 where it differs
};
int run_bench_infer(const CommonOptions& common, const BenchOptions& options);
int run_bench_train(const CommonOptions& common, const BenchOptions& options);
int run_bench_ops(const CommonOptions& common, const BenchOptions& options);
int run_bench_data(const CommonOptions& common, const BenchOptions& options);

struct TurnsOptions {
  std::string weights, input;
  bool train = false;  // training steps instead of forward passes
};
// On the CPU. Writes a line of JSON when ready (with the losses of the first step) and one for each run.
int run_bench_turns(const CommonOptions& common, const TurnsOptions& options);

struct DemoOptions {
  std::string out = "out/demo";
  bool compare_k = false;
  std::vector<std::string> overrides;
};
int run_demo(const CommonOptions& common, const DemoOptions& options);

int run_doctor(const CommonOptions& common);

}  // namespace tessera
