#include "engine/ops/linear.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/linear.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Linear, AgreesWithOracle) {
  for (const auto& [rows, in, out] :
       {std::array<int64_t, 3>{1, 1, 1}, {5, 7, 3}, {40, 64, 80}, {0, 6, 4}, {3, 300, 17}}) {
    check_op(
        fmt::format("linear {} {}->{}", rows, in, out),
        {random_input({rows, in}, 1), random_input({out, in}, 2), random_input({out}, 3)},
        [](Tape& tape, const std::vector<Variable>& v) { return linear(tape, v[0], v[1], v[2]); },
        [&, width = static_cast<size_t>(in)](const auto& v) { return reference::linear(v[0], v[1], v[2], width); },
        OpTolerance{.forward_absolute = 1e-4, .jacobian_limit = 60});
  }
}

TEST(Linear, WithoutBias) {
  check_op(
      "linear without bias", {random_input({6, 5}, 1), random_input({4, 5}, 2)},
      [](Tape& tape, const std::vector<Variable>& v) { return linear(tape, v[0], v[1]); },
      [](const auto& v) { return reference::linear(v[0], v[1], std::vector<double>(4, 0.0), 5); });
}

TEST(Linear, PlanCountsWork) {
  PlanContext context;
  Tape tape(context);
  EXPECT_EQ(linear(tape, Tensor::empty(context, {9, 5}), Tensor::empty(context, {4, 5})).shape(), (Shape{9, 4}));
  EXPECT_EQ(tape.costs().at(0).macs, 9 * 5 * 4);
  EXPECT_THROW(linear(tape, Tensor::empty(context, {9, 5}), Tensor::empty(context, {4, 6})), Error);
}

}  // namespace
}  // namespace tessera
