#include "engine/ops/reshape.h"

#include <gtest/gtest.h>

#include "engine/ops/add.h"
#include "engine/ops/scale.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Reshape, IsAViewAndItsGradientFlows) {
  check_op(
      "reshape", {random_input({2, 3, 4}, 4)},
      [](Tape& tape, const std::vector<Variable>& in) {
        const Variable y = reshape(tape, in[0], {6, 1, 4});
        EXPECT_EQ(y.value.storage(), in[0].value.storage());
        return y;
      },
      [](const auto& in) { return in[0]; });
  // Between ops, and beside a use of the same tensor under its own shape.
  check_op(
      "scale(reshape(3 x)) + 3 x", {random_input({2, 3, 4}, 5)},
      [](Tape& tape, const std::vector<Variable>& in) {
        const Variable tripled = scale(tape, in[0], 3);
        const Variable flat = scale(tape, reshape(tape, tripled, {24}), 2);
        return add(tape, reshape(tape, flat, {2, 3, 4}), tripled);
      },
      [](const auto& in) {
        std::vector<double> y = in[0];
        for (double& value : y) value *= 9;
        return y;
      });
  PlanContext context;
  Tape tape(context);
  EXPECT_THROW(reshape(tape, Tensor::empty(context, {2, 3}), {5}), Error);
}

}  // namespace
}  // namespace tessera
