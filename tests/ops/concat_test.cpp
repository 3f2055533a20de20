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

TEST(SplitChannels, AgreesWithItsDefinition) {
  const std::vector<int64_t> widths = {3, 1, 4};
  for (size_t part = 0; part < widths.size(); ++part) {
    check_op(
        "split_channels", {random_input({2, 5, 8}, part)},
        [&](Tape& tape, const std::vector<Variable>& in) { return split_channels(tape, in[0], widths)[part]; },
        [&](const auto& in) {
          std::vector<double> y;
          const size_t first[] = {0, 3, 4};
          for (size_t row = 0; row < 10; ++row) {
            for (size_t c = 0; c < static_cast<size_t>(widths[part]); ++c)
              y.push_back(in[0][row * 8 + first[part] + c]);
          }
          return y;
        });
  }
  // All parts used: their gradients meet in one tensor.
  check_op(
      "split_channels", {random_input({2, 5, 8}, 7)},
      [&](Tape& tape, const std::vector<Variable>& in) {
        const std::vector<Variable> parts = split_channels(tape, in[0], widths);
        return concat_channels(tape, {parts[2], parts[0], parts[1]});
      },
      [](const auto& in) {
        std::vector<double> y;
        for (size_t row = 0; row < 10; ++row) {
          for (const size_t c : {4, 5, 6, 7, 0, 1, 2, 3}) y.push_back(in[0][row * 8 + c]);
        }
        return y;
      });
  PlanContext context;
  Tape tape(context);
  EXPECT_THROW(split_channels(tape, Tensor::empty(context, {2, 8}), {3, 4}), Error);
}

TEST(ConcatChannels, RefusesMapsOfDifferentSize) {
  PlanContext context;
  Tape tape(context);
  EXPECT_THROW(concat_channels(tape, {Tensor::empty(context, {1, 2, 2, 3}), Tensor::empty(context, {1, 2, 3, 3})}),
               Error);
}

}  // namespace
}  // namespace tessera
