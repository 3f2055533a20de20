#include "engine/ops/sigmoid.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/sigmoid.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Sigmoid, AgreesWithOracle) {
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{2, 3, 5, 4}, Shape{1, 0, 4}, Shape{33, 100}}) {
    check_op(
        "sigmoid " + shape.to_string(), {random_input(shape, 1, 4.0)},
        [](Tape& tape, const std::vector<Variable>& x) { return sigmoid(tape, x[0]); },
        [](const auto& x) { return reference::sigmoid(x[0]); });
  }
}

}  // namespace
}  // namespace tessera
