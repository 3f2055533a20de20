#include "engine/ops/leaky_relu.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/leaky_relu.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(LeakyRelu, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1}, Shape{3, 5, 7}, Shape{0, 4}, Shape{2, 9, 9, 16}}) {
    for (const float slope : {0.01f, 0.5f}) {
      check_op(
          "leaky_relu " + shape.to_string(), {random_input_away_from_zero(shape, 1)},
          [slope](Tape& tape, const std::vector<Variable>& in) { return leaky_relu(tape, in[0], slope); },
          [slope](const auto& in) { return reference::leaky_relu(in[0], slope); });
    }
  }
}

TEST(LeakyRelu, RefusesASlopeThatLosesTheSign) {
  PlanContext context;
  Tape tape(context);
  EXPECT_THROW(leaky_relu(tape, Tensor::empty(context, {4}), 0.0f), Error);
}

TEST(LeakyRelu, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("leaky_relu", {random_input({100003}, 3)},
                                   [](Tape& tape, const std::vector<Variable>& in) { return leaky_relu(tape, in[0]); });
}

}  // namespace
}  // namespace tessera
