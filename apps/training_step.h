// One step of training: losses, backward, optimizer. What the run does around it (data, checkpoints, log, evaluation)
// is in training_run.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/model_file.h"
#include "data/pipeline/loader.h"
#include "engine/training/optimizer.h"
#include "engine/training/schedule.h"

namespace tessera {

struct StepResult {
  std::vector<std::pair<std::string, double>> losses;  // by part
  double loss = 0;                                     // their sum
  double gradient_norm = 0;                            // before clipping
  double learning_rate = 0;
  std::vector<NamedCount> targets;  // only when asked for
};

// train.* of a config; the learning rate scales linearly with train.batch / train.reference_batch, iterations, steps
// and warm-up inversely.
ScheduleOptions schedule_from(const Config& config);
std::unique_ptr<Optimizer> make_optimizer(Context& context, ParameterStore& store, const Config& config);

class TrainingStep {
 public:
  // The model must be allocated for training and outlive this. Construct before a checkpoint is loaded: the optimizer
  // may add a buffer to the parameters.
  TrainingStep(Context& context, const Model& model, const Config& config);

  // iteration counts from 0. Throws Error(non_finite) naming the tensor, with parameters and momentum unchanged.
  // count_targets: also fill in StepResult::targets.
  StepResult run(const Batch& batch, int64_t iteration, bool count_targets = false);

  const ScheduleOptions& schedule() const { return schedule_; }

 private:
  Context& context_;
  const Model& model_;
  ScheduleOptions schedule_;
  std::unique_ptr<Optimizer> optimizer_;
  uint64_t seed_;
};

}  // namespace tessera
