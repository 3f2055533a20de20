#include "engine/ops/position_add.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/position_add.h"

namespace tessera {
namespace {

using namespace testing_support;

Variable run(Tape& tape, const std::vector<Variable>& in) { return position_add(tape, in[0], in[1], in[2]); }

std::vector<OpInput> inputs(const Shape& shape) {
  return {random_input(shape, 1), random_input({shape[1], shape[3]}, 2), random_input({shape[2], shape[3]}, 3)};
}

TEST(PositionAdd, AgreesWithOracle) {
  for (const Shape& shape :
       {Shape{1, 1, 1, 1}, Shape{2, 3, 4, 5}, Shape{3, 1, 6, 8}, Shape{1, 7, 1, 17}, Shape{0, 2, 3, 4}}) {
    check_op("position_add " + shape.to_string(), inputs(shape), run, [&](const auto& in) {
      return reference::position_add(in[0], in[1], in[2], static_cast<size_t>(shape[3]));
    });
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
