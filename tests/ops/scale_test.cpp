#include "engine/ops/scale.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/scale.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Scale, AgreesWithOracle) {
  for (const float factor : {0.0f, -1.5f, 3.0f}) {
    check_op(
        "scale", {random_input({3, 7}, 1)},
        [&](Tape& tape, const std::vector<Variable>& in) { return scale(tape, in[0], factor); },
        [&](const auto& in) { return reference::scale(in[0], factor); });
  }
}

}  // namespace
}  // namespace tessera
