#include "engine/ops/position_add.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"

namespace tessera {
namespace {

using namespace testing_support;

Variable run(Tape& tape, const std::vector<Variable>& in) { return position_add(tape, in[0], in[1], in[2]); }

std::vector<OpInput> inputs(const Shape& shape) {
  return {random_input(shape, 1), random_input({shape[1], shape[3]}, 2), random_input({shape[2], shape[3]}, 3)};
}

OpOracle oracle(const Shape& shape) {
  return [shape](const std::vector<std::vector<double>>& in) {
    std::vector<double> y = in[0];
    for (size_t at = 0; at < y.size(); ++at) {
      const auto cell = static_cast<int64_t>(at) / shape[3], c = static_cast<int64_t>(at) % shape[3];
      const int64_t i = cell / shape[2] % shape[1], j = cell % shape[2];
      y[at] += in[1][static_cast<size_t>(i * shape[3] + c)] + in[2][static_cast<size_t>(j * shape[3] + c)];
    }
    return y;
  };
}

TEST(PositionAdd, AgreesWithOracle) {
  for (const Shape& shape :
       {Shape{1, 1, 1, 1}, Shape{2, 3, 4, 5}, Shape{3, 1, 6, 8}, Shape{1, 7, 1, 17}, Shape{0, 2, 3, 4}}) {
    check_op("position_add " + shape.to_string(), inputs(shape), run, oracle(shape));
  }
}

TEST(PositionAdd, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("position_add", inputs({3, 25, 42, 40}), run);
}

TEST(PositionAdd, RefusesTablesOfAnotherSize) {
  PlanContext context;
  Tape tape(context);
  const Tensor x = Tensor::empty(context, {1, 3, 4, 8}), three = Tensor::empty(context, {3, 8});
  EXPECT_THROW(position_add(tape, x, three, three), Error);
}

}  // namespace
}  // namespace tessera
