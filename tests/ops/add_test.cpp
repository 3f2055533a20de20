#include "engine/ops/add.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/add.h"
#include "tests/reference/relu.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Add, AgreesWithOracle) {
  for (const bool rectified : {false, true}) {
    for (const Shape& shape : {Shape{1}, Shape{2, 3, 5, 4}, Shape{17, 129}}) {
      check_op(
          "add " + shape.to_string(), {random_input_away_from_zero(shape, 1, 5.0), random_input(shape, 2)},
          [&](Tape& tape, const std::vector<Variable>& x) { return add(tape, x[0], x[1], {.relu = rectified}); },
          [&](const auto& x) {
            const std::vector<double> sum = reference::add(x[0], x[1]);
            return rectified ? reference::relu(sum) : sum;
          });
    }
  }
}

TEST(Add, OfAVariableWithItselfDoublesTheGradient) {
  check_op(
      "x + x", {random_input({3, 4}, 3)},
      [](Tape& tape, const std::vector<Variable>& x) { return add(tape, x[0], x[0]); },
      [](const auto& x) { return reference::add(x[0], x[0]); });
}

}  // namespace
}  // namespace tessera
