#include "engine/ops/batch_norm.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/batch_norm.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(BatchNorm, AgreesWithOracle) {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 2, 1, 3}, Shape{3, 1, 1, 16}, Shape{1, 1, 1, 4}}) {
    for (const bool relu : {false, true}) {
      const int64_t channels = shape[3], rows = shape.elements() / channels;
      // With one or two values per channel the true gradient is (nearly) nothing: what is left of terms that cancel is
      // measured against those terms, rstd * g, and not against their difference.
      OpTolerance tolerance;
      if (rows <= 2) tolerance.gradient_absolute = 0.05;
      check_op(
          "batch_norm " + shape.to_string(),
          {random_input(shape, 1, 2.0, 1.0), random_input({channels}, 2, 1, 1), random_input({channels}, 3)},
          [&](Tape& tape, const std::vector<Variable>& in) {
            return batch_norm(tape, in[0], in[1], in[2], {}, {}, {.relu = relu});
          },
          [&](const auto& in) { return reference::batch_norm(in[0], in[1], in[2], 1e-5f, relu); }, tolerance);
    }
  }
}

TEST(BatchNorm, MovesTheRunningStatistics) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    // Channel 0: 1, 3, 5, 7: mean 4, unbiased variance 20 / 3. Channel 1: all 2: variance 0.
    const Variable x =
        tape.input(Tensor::from_host<float>(context, {2, 1, 2, 2}, std::vector<float>{1, 2, 3, 2, 5, 2, 7, 2}));
    const Tensor mean = Tensor::from_host<float>(context, {2}, std::vector<float>{0, 10});
    const Tensor variance = Tensor::from_host<float>(context, {2}, std::vector<float>{1, 1});
    const Tensor one = Tensor::from_host<float>(context, {2}, std::vector<float>{1, 1});
    batch_norm(tape, x, one, one, mean, variance, {.momentum = 0.25f});
    const std::vector<float> means = mean.to_host<float>(context), variances = variance.to_host<float>(context);
    EXPECT_FLOAT_EQ(means[0], 1.0f);
    EXPECT_FLOAT_EQ(means[1], 8.0f);
    EXPECT_NEAR(variances[0], 0.75 + 0.25 * 20 / 3, 1e-5);
    EXPECT_NEAR(variances[1], 0.75, 1e-6);
  });
}

// More channels than a block of the device has threads, one value each.
TEST(BatchNorm, MovesTheStatisticsOfManyChannels) {
  for_each_backend([](Context& context) {
    constexpr int64_t kChannels = 131;
    Tape tape(context);
    std::vector<float> values(kChannels), zeros(kChannels, 0.0f);
    for (size_t c = 0; c < values.size(); ++c) values[c] = static_cast<float>(c) - 60;
    const auto tensor = [&](const std::vector<float>& of) {
      return Tensor::from_host<float>(context, {kChannels}, of);
    };
    const Variable x = tape.input(Tensor::from_host<float>(context, {1, 1, 1, kChannels}, values));
    const Tensor mean = tensor(zeros), variance = tensor(zeros);
    batch_norm(tape, x, tensor(values), tensor(values), mean, variance, {.momentum = 0.5f});
    const std::vector<float> means = mean.to_host<float>(context), variances = variance.to_host<float>(context);
    for (size_t c = 0; c < values.size(); ++c) {
      EXPECT_EQ(means[c], values[c] / 2) << c;
      EXPECT_NEAR(variances[c], 0.0f, 1e-6f) << c;
    }
  });
}

TEST(BatchNorm, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("batch_norm",
                                   {random_input({2, 40, 30, 20}, 4), random_input({20}, 5), random_input({20}, 6)},
                                   [](Tape& tape, const std::vector<Variable>& in) {
                                     return batch_norm(tape, in[0], in[1], in[2], {}, {}, {.relu = true});
                                   });
}

}  // namespace
}  // namespace tessera
