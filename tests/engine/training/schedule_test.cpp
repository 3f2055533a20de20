#include "engine/training/schedule.h"

#include <gtest/gtest.h>

#include "engine/core/error.h"

namespace tessera {
namespace {

// The 1x schedule of the paper with AdelaiDet's warm-up.
TEST(Schedule, OneTimes) {
  ScheduleOptions schedule;
  schedule.steps = {60000, 80000};
  const struct {
    int64_t iteration;
    double rate;
  } table[] = {{0, 1e-5},
               {1, 1e-5 + 0.999e-5},
               {500, 0.5 * (1e-5 + 0.01)},
               {999, 1e-5 * 0.001 + 0.01 * 0.999},
               {1000, 0.01},
               {59999, 0.01},
               {60000, 0.001},
               {79999, 0.001},
               {80000, 0.0001},
               {89999, 0.0001},
               {90000, 0.0001}};
  for (const auto& row : table) {
    EXPECT_NEAR(learning_rate_at(schedule, row.iteration), row.rate, row.rate * 1e-12) << row.iteration;
  }
}

TEST(Schedule, StepsInsideWarmupMultiply) {
  ScheduleOptions schedule;
  schedule.learning_rate = 1;
  schedule.warmup = 10;
  schedule.warmup_start = 0;
  schedule.steps = {5, 5};
  schedule.gamma = 0.5;
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 4), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 5), 0.5 * 0.25);
}

TEST(Schedule, WithoutWarmupAndSteps) {
  ScheduleOptions schedule;
  schedule.warmup = 0;
  EXPECT_EQ(learning_rate_at(schedule, 0), 0.01);
  EXPECT_EQ(learning_rate_at(schedule, 1000000000), 0.01);
  EXPECT_THROW(learning_rate_at(schedule, -1), Error);
}

TEST(Schedule, Cosine) {
  ScheduleOptions schedule;
  schedule.decay = ScheduleOptions::Decay::cosine;
  schedule.learning_rate = 2;
  schedule.iterations = 100;
  schedule.warmup = 10;
  schedule.warmup_start = 0.1;
  schedule.cosine_end = 0.2;
  schedule.steps = {1};  // of the other decay: no effect
  EXPECT_NEAR(learning_rate_at(schedule, 0), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate_at(schedule, 50), 2 * 0.6, 1e-12);
  EXPECT_NEAR(learning_rate_at(schedule, 100), 0.4, 1e-12);
  EXPECT_NEAR(learning_rate_at(schedule, 500), 0.4, 1e-12);
  for (int64_t i = 11; i < 100; ++i) EXPECT_LT(learning_rate_at(schedule, i), learning_rate_at(schedule, i - 1));
  schedule.iterations = 0;
  EXPECT_NEAR(learning_rate_at(schedule, 20), 0.4, 1e-12);
}

}  // namespace
}  // namespace tessera
