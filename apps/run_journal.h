// What a run writes down as it goes: a line of log.jsonl, and the same numbers as an event for TensorBoard, whose tags
// are the fields of the line ("loss", "losses/cls", "segm/AP50").
#pragma once

#include <cstdint>
#include <filesystem>

#include "apps/model_evaluation.h"
#include "apps/training_step.h"
#include "engine/io/event_file.h"
#include "engine/io/jsonl_log.h"

namespace tessera {

// Of the iterations since the entry before.
struct Pace {
  double images_per_second = 0;
  double data_wait = 0;  // share of the time spent waiting for data, 0..1
};

class RunJournal {
 public:
  // done: iterations finished before, of all of them. What stands in the files about later ones, which are done again,
  // is removed; so is the evaluation of a finished run, which is resumed by evaluating once more. Throws WriteError
  // when log.jsonl cannot be opened.
  RunJournal(const std::filesystem::path& folder, int64_t done, int64_t iterations);

  // seconds: since the process began. No failure of the disk stops a run here.
  void step(const StepResult& step, int64_t iteration, const Pace& pace, double seconds);
  void evaluation(const ModelEvaluation& evaluation, int64_t iteration, double seconds);

 private:
  JsonlLog log_;
  EventFile events_;
};

}  // namespace tessera
