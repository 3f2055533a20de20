#include "engine/ops/layer_norm.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/layer_norm.h"

namespace tessera {
namespace {

using namespace testing_support;

std::vector<OpInput> inputs(const Shape& shape, double mean = 0.3) {
  return {random_input(shape, 1, 2.0, mean), random_input({shape.back()}, 2, 1, 1), random_input({shape.back()}, 3)};
}

Variable run(Tape& tape, const std::vector<Variable>& in) { return layer_norm(tape, in[0], in[1], in[2]); }

std::vector<double> expected(const std::vector<std::vector<double>>& in) {
  return reference::layer_norm(in[0], in[1], in[2], 1e-5f);
}

TEST(LayerNorm, AgreesWithOracle) {
  for (const Shape& shape : {Shape{3, 3}, Shape{5, 7}, Shape{2, 3, 4, 33}, Shape{1, 64}, Shape{70, 16}, Shape{0, 8}}) {
    check_op("layer_norm " + shape.to_string(), inputs(shape), run, expected);
  }
  // With one or two elements in a row what is left of dx is epsilon's doing: digits cancel in any float arithmetic.
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 2}}) check_op_forward("layer_norm", inputs(shape), run, expected);
}

TEST(LayerNorm, AgreesWithOracleOverManyRows) {
  OpTolerance tolerance;
  tolerance.jacobian_limit = 24;
  check_op("layer_norm of tokens", inputs({300, 256}), run, expected, tolerance);
  // A device keeps rows of up to 256 and of up to 1024 channels in registers.
  for (const int64_t channels : {257, 1024, 1025}) {
    check_op("layer_norm of long rows", inputs({3, channels}), run, expected, tolerance);
  }
}

TEST(LayerNorm, LosesNoVarianceToALargeMean) {
  check_op_forward("layer_norm of a large mean", inputs({20, 96}, 4096.0), run, expected, {.forward_absolute = 2e-3});
}

TEST(LayerNorm, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("layer_norm", inputs({777, 40}), run);
}

TEST(LayerNorm, RefusesAnotherWidth) {
  PlanContext context;
  Tape tape(context);
  const Tensor affine = Tensor::empty(context, {9});
  EXPECT_THROW(layer_norm(tape, Tensor::empty(context, {2, 10}), affine, affine), Error);
}

}  // namespace
}  // namespace tessera
