#include "engine/ops/gated_sum.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/gated_sum.h"

namespace tessera {
namespace {

using namespace testing_support;

// Inputs: x, then gate and value of each branch.
Variable run(Tape& tape, const std::vector<Variable>& in) {
  std::vector<GatedBranch> branches;
  for (size_t i = 1; i < in.size(); i += 2) branches.push_back({in[i], in[i + 1]});
  return gated_sum(tape, in[0], branches);
}

std::vector<OpInput> inputs(const Shape& shape, int branches) {
  std::vector<OpInput> in = {random_input(shape, 1)};
  for (int b = 0; b < branches; ++b) {
    in.push_back(random_input({}, 10 + static_cast<uint64_t>(b)));
    in.push_back(random_input(shape, 20 + static_cast<uint64_t>(b)));
  }
  return in;
}

TEST(GatedSum, AgreesWithOracle) {
  for (const int branches : {1, 2, 3, 4}) {
    for (const Shape& shape : {Shape{1}, Shape{5, 7}, Shape{2, 3, 4, 9}}) {
      check_op("gated_sum " + shape.to_string(), inputs(shape, branches), run, reference::gated_sum);
    }
  }
}

TEST(GatedSum, AgreesWithOracleAcrossManyChunks) {
  OpTolerance tolerance;
  tolerance.jacobian_limit = 8;
  check_op("gated_sum of many", inputs({50001}, 2), run, reference::gated_sum, tolerance);
}

TEST(GatedSum, OfClosedGatesIsTheInputAndStillLearns) {
  for_each_backend([](Context& context) {
    Tape tape(context);
    const std::vector<float> values = {1, -2, 3}, branch = {5, 7, 11}, closed = {0}, ones = {1, 1, 1};
    const Variable gate = tape.input(Tensor::from_host<float>(context, {}, closed));
    const Variable f = tape.input(Tensor::from_host<float>(context, {3}, branch));
    const Variable y = gated_sum(tape, Tensor::from_host<float>(context, {3}, values), {{gate, f}});
    EXPECT_EQ(y.value.to_host<float>(context), values);
    tape.backward(y, Tensor::from_host<float>(context, {3}, ones));
    EXPECT_EQ(tape.gradient(gate).to_host<float>(context)[0], 23.0f);
    EXPECT_EQ(tape.gradient(f).to_host<float>(context), (std::vector<float>{0, 0, 0}));
  });
}

TEST(GatedSum, KeepsNoBranchBehindAFixedGate) {
  CpuContext context(1);
  Tape tape(context);
  const Variable x = tape.input(Tensor::zeros(context, {1000}));
  const Variable f = tape.input(Tensor::zeros(context, {1000}));
  gated_sum(tape, x, {{Tensor::zeros(context, {1}), f}});
  EXPECT_LT(tape.saved_bytes(), 1000u);
}

TEST(GatedSum, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("gated_sum", inputs({70003}, 3), run);
}

TEST(GatedSum, RefusesOtherShapes) {
  PlanContext context;
  Tape tape(context);
  const Tensor x = Tensor::empty(context, {4}), gate = Tensor::empty(context, {1});
  EXPECT_THROW(gated_sum(tape, x, {}), Error);
  EXPECT_THROW(gated_sum(tape, x, {{x, x}}), Error);
  EXPECT_THROW(gated_sum(tape, x, {{gate, Tensor::empty(context, {5})}}), Error);
}

}  // namespace
}  // namespace tessera
