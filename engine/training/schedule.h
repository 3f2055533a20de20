// The learning rate as an exact function of the iteration: nothing to save, nothing to drift after a resume.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera {

struct ScheduleOptions {
  enum class Decay : uint8_t { steps, cosine };

  double learning_rate = 0.01;  // after warm-up, before decay
  int64_t iterations = 90000;   // length of the run; only cosine depends on it
  int64_t warmup = 1000;        // iterations of linear warm-up, 0: none
  double warmup_start = 0.001;  // factor at iteration 0
  Decay decay = Decay::steps;
  std::vector<int64_t> steps;  // from these iterations on, one more factor gamma each
  double gamma = 0.1;
  double cosine_end = 0.0;  // factor at the end of a cosine
};

// iteration: from 0. warm-up: start + (1 - start) * iteration / warmup, times the decay: gamma^(number of steps at or
// below the iteration), or end + (1 - end) * (1 + cos(pi * iteration / iterations)) / 2. Agrees with
// WarmupMultiStepLR and WarmupCosineLR of detectron2. Past the end a cosine stays at its end.
double learning_rate_at(const ScheduleOptions& schedule, int64_t iteration);

}  // namespace tessera
