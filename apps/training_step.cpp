#include "apps/training_step.h"

#include <cmath>

#include "engine/ops/add.h"
#include "engine/training/adamw.h"
#include "engine/training/finite_check.h"
#include "engine/training/sgd.h"

namespace tessera {

ScheduleOptions schedule_from(const Config& config) {
  ScheduleOptions schedule;
  schedule.learning_rate = config.get_number("train.learning_rate");
  schedule.iterations = config.get_int("train.iterations");
  schedule.warmup = config.get_int("train.warmup");
  schedule.warmup_start = config.get_number("train.warmup_factor");
  schedule.decay =
      config.get_string("train.decay") == "cosine" ? ScheduleOptions::Decay::cosine : ScheduleOptions::Decay::steps;
  schedule.steps = config.get_ints("train.steps");
  schedule.gamma = config.get_number("train.gamma");
  const int64_t reference = config.get_int("train.reference_batch"), batch = config.get_int("train.batch");
  if (reference > 0 && reference != batch) {
    const auto stretched = [&](int64_t iterations) { return (iterations * reference + batch - 1) / batch; };
    schedule.learning_rate *= static_cast<double>(batch) / static_cast<double>(reference);
    schedule.iterations = stretched(schedule.iterations);
    schedule.warmup = stretched(schedule.warmup);
    for (int64_t& step : schedule.steps) step = stretched(step);
  }
  return schedule;
}

std::unique_ptr<Optimizer> make_optimizer(Context& context, ParameterStore& store, const Config& config) {
  const double weight_decay = config.get_number("train.weight_decay"), clip = config.get_number("train.clip");
  if (config.get_string("train.optimizer") == "adamw") {
    return std::make_unique<AdamW>(context, store,
                                   AdamWOptions{.beta1 = config.get_number("train.beta1"),
                                                .beta2 = config.get_number("train.beta2"),
                                                .epsilon = config.get_number("train.epsilon"),
                                                .weight_decay = weight_decay,
                                                .clip_norm = clip});
  }
  return std::make_unique<Sgd>(
      context, store,
      SgdOptions{.momentum = config.get_number("train.momentum"), .weight_decay = weight_decay, .clip_norm = clip});
}

TrainingStep::TrainingStep(Context& context, const Model& model, const Config& config)
    : context_(context),
      model_(model),
      schedule_(schedule_from(config)),
      optimizer_(make_optimizer(context, *model.parameters, config)),
      seed_(static_cast<uint64_t>(config.get_int("seed"))) {}

StepResult TrainingStep::run(const Batch& batch, int64_t iteration, bool count_targets) {
  TrainingBatch input;
  input.images = Tensor::from_host<float>(context_, {batch.count, batch.height, batch.width, 3}, batch.images, "input");
  input.targets = batch.targets;
  input.seed = seed_;
  input.iteration = static_cast<uint64_t>(iteration);

  model_.parameters->zero_gradients(context_);
  Tape tape(context_);
  const std::vector<NamedLoss> losses = model_.system->losses(tape, input);
  StepResult result;
  std::vector<NamedTensor> checked = {{"input images", input.images}};
  Variable total;
  for (const NamedLoss& loss : losses) {
    result.losses.emplace_back(loss.name, loss.value.value.to_host<float>(context_)[0]);
    result.loss += result.losses.back().second;
    checked.push_back({"loss " + loss.name, loss.value.value});
    total = total.defined() ? add(tape, total, loss.value) : loss.value;
  }
  if (!std::isfinite(result.loss)) require_finite(context_, iteration, checked, model_.parameters.get());
  tape.backward(total);
  result.learning_rate = learning_rate_at(schedule_, iteration);
  if (count_targets) result.targets = model_.system->target_counts(input);
  result.gradient_norm = optimizer_->step(context_, iteration, result.learning_rate);
  return result;
}

}  // namespace tessera
