#include "engine/ops/concat.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/concat.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(ConcatChannels, AgreesWithOracle) {
  for (const std::vector<size_t>& widths : std::vector<std::vector<size_t>>{{3}, {1, 1}, {4, 7, 2}, {8, 16, 8, 3}}) {
    std::vector<OpInput> inputs;
    for (const size_t width : widths) inputs.push_back(random_input({2, 3, 5, static_cast<int64_t>(width)}, width));
    inputs[0].differentiable = widths.size() != 3;  // one constant among the others
    check_op(
        "concat_channels", inputs,
        [](Tape& tape, const std::vector<Variable>& in) { return concat_channels(tape, in); },
        [&](const auto& in) { return reference::concat_channels(in, widths); });
  }
}

TEST(ConcatChannels, RefusesMapsOfDifferentSize) {
  PlanContext context;
  Tape tape(context);
  EXPECT_THROW(concat_channels(tape, {Tensor::empty(context, {1, 2, 2, 3}), Tensor::empty(context, {1, 2, 3, 3})}),
               Error);
}

}  // namespace
}  // namespace tessera
