#include "engine/ops/relu.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/relu.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Relu, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{2, 3, 5, 4}, Shape{1, 0, 4}, Shape{33, 1000}}) {
    check_op(
        "relu " + shape.to_string(), {random_input_away_from_zero(shape, 1)},
        [](Tape& tape, const std::vector<Variable>& x) { return relu(tape, x[0]); },
        [](const auto& x) { return reference::relu(x[0]); });
  }
}

}  // namespace
}  // namespace tessera
