// A training run in its folder: config.json, command.txt, log.jsonl, TensorBoard events, checkpoints, samples/,
// curves.svg, report.html, final.safetensors. A run that is stopped and resumed gives the same bits as a straight one.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "apps/model_evaluation.h"
#include "apps/verbs.h"
#include "engine/io/config.h"

namespace tessera {

struct TrainingRunRequest {
  Config config;
  std::filesystem::path folder;
  bool resume = false;
  std::filesystem::path init;  // weights to start from; empty: random
  std::string command;         // a line of command.txt
};

struct TrainingRunResult {
  bool stopped = false;          // by a signal, perhaps in the last evaluation; a checkpoint is saved
  int64_t iterations = 0;        // done in all
  int64_t steps_in_process = 0;  // of these, here
  int64_t parameters = 0;
  int64_t batch = 0;
  int threads = 0;
  double seconds = 0;             // of this process, evaluation included
  double training_seconds = 0;    // of the steps alone
  std::filesystem::path weights;  // final.safetensors, when finished
  ModelEvaluation evaluation;     // of the final weights, when the config names an evaluation set
  bool evaluated = false;
};

// Throws Error for everything a user can cause: before the first step what a look at both sets can tell, and a failing
// last evaluation when weights and report are written; one in the middle is a note. Progress goes to stderr unless
// common.quiet.
TrainingRunResult train_in_folder(const CommonOptions& common, const TrainingRunRequest& request);

}  // namespace tessera
