#include "engine/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"

namespace tessera {

double learning_rate_at(const ScheduleOptions& schedule, int64_t iteration) {
  TESSERA_CHECK(iteration >= 0, "iteration {}", iteration);
  double factor = 1.0;
  if (iteration < schedule.warmup) {
    const double progress = static_cast<double>(iteration) / static_cast<double>(schedule.warmup);
    factor = schedule.warmup_start * (1.0 - progress) + progress;
  }
  if (schedule.decay == ScheduleOptions::Decay::cosine) {
    const double progress =
        schedule.iterations > 0
            ? std::min(1.0, static_cast<double>(iteration) / static_cast<double>(schedule.iterations))
            : 1.0;
    factor *= schedule.cosine_end + (1.0 - schedule.cosine_end) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  } else {
    for (const int64_t step : schedule.steps) {
      if (step <= iteration) factor *= schedule.gamma;
    }
  }
  return schedule.learning_rate * factor;
}

}  // namespace tessera
