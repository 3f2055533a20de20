#include "engine/ops/resize.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/add.h"
#include "tests/reference/resize.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::ResizeCase;

// Up, down, equal, from and to one pixel, mixed, odd.
const std::vector<ResizeCase> kCases = {
    {1, 1, 1, 1, 1, 1}, {2, 3, 4, 6, 8, 3},  {1, 13, 7, 5, 20, 2}, {1, 5, 5, 5, 5, 8},
    {3, 1, 1, 4, 3, 5}, {1, 6, 9, 1, 1, 4},  {1, 2, 3, 17, 9, 1},  {1, 20, 16, 3, 4, 2},
    {2, 4, 4, 7, 3, 9}, {1, 3, 2, 4, 2, 16}, {1, 2, 3, 3, 5, 68},
};

std::string name_of(const char* op, const ResizeCase& at) {
  return fmt::format("{} {}x{}x{}x{} -> {}x{}", op, at.images, at.in_height, at.in_width, at.channels, at.out_height,
                     at.out_width);
}

OpInput input_of(const ResizeCase& at) { return random_input({at.images, at.in_height, at.in_width, at.channels}, 1); }

TEST(ResizeBilinear, AgreesWithOracle) {
  for (const ResizeCase& at : kCases) {
    check_op(
        name_of("resize_bilinear", at), {input_of(at)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return resize_bilinear(tape, in[0], at.out_height, at.out_width);
        },
        [&](const auto& in) { return reference::resize_bilinear(in[0], at); });
  }
}

TEST(ResizeBilinear, KnownValues) {
  for_each_backend([](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const Variable x = Tensor::from_host<float>(context, {1, 1, 2, 1}, std::vector<float>{0, 4});
    EXPECT_EQ(resize_bilinear(tape, x, 1, 4).value.to_host<float>(context), (std::vector<float>{0, 1, 3, 4}));
  });
}

TEST(ResizeNearest, AgreesWithOracle) {
  for (const ResizeCase& at : kCases) {
    check_op(
        name_of("resize_nearest", at), {input_of(at)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return resize_nearest(tape, in[0], at.out_height, at.out_width);
        },
        [&](const auto& in) { return reference::resize_nearest(in[0], at); });
    check_op(
        name_of("resize_nearest_add", at),
        {input_of(at), random_input({at.images, at.out_height, at.out_width, at.channels}, 2)},
        [&](Tape& tape, const std::vector<Variable>& in) { return resize_nearest_add(tape, in[0], in[1]); },
        [&](const auto& in) { return reference::add(reference::resize_nearest(in[0], at), in[1]); });
  }
}

TEST(Resize, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads("resize", {random_input({2, 13, 21, 32}, 3)},
                                   [](Tape& tape, const std::vector<Variable>& in) {
                                     return resize_nearest(tape, resize_bilinear(tape, in[0], 50, 84), 31, 40);
                                   });
}

TEST(Resize, RefusesEmptySizesAndForeignShapes) {
  PlanContext context;
  Tape tape(context);
  const Variable map = Tensor::empty(context, {1, 2, 2, 3});
  EXPECT_THROW(resize_bilinear(tape, map, 0, 4), Error);
  EXPECT_THROW(resize_nearest(tape, Tensor::empty(context, {1, 0, 2, 3}), 4, 4), Error);
  EXPECT_THROW(resize_nearest_add(tape, map, Tensor::empty(context, {1, 4, 4, 5})), Error);
}

}  // namespace
}  // namespace tessera
