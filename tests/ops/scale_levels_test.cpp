#include "engine/ops/scale_levels.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/scale_levels.h"

namespace tessera {
namespace {

using namespace testing_support;

PyramidGeometry two_images() {
  PyramidGeometry geometry(2);
  geometry.add_level(3, 5, 8);
  geometry.add_level(2, 2, 16);
  geometry.add_level(1, 1, 32);
  return geometry;
}

reference::LevelActivation oracle_of(ScaleActivation activation) {
  if (activation == ScaleActivation::relu) return reference::LevelActivation::relu;
  return activation == ScaleActivation::exp ? reference::LevelActivation::exp : reference::LevelActivation::none;
}

TEST(ScaleLevels, AgreesWithOracle) {
  const PyramidGeometry geometry = two_images();
  for (const ScaleActivation activation : {ScaleActivation::none, ScaleActivation::relu, ScaleActivation::exp}) {
    for (const bool frozen : {false, true}) {
      std::vector<OpInput> inputs = {random_input_away_from_zero({geometry.rows(), 4}, 2)};
      for (const double value : {1.0, 0.5, 1.75}) inputs.push_back({{1}, {value}, !frozen});
      check_op(
          "scale_levels", inputs,
          [&](Tape& tape, const std::vector<Variable>& in) {
            return scale_levels(tape, {in[0], geometry}, {in[1], in[2], in[3]}, activation).rows;
          },
          [&](const auto& in) {
            return reference::scale_levels(in[0], {in[1][0], in[2][0], in[3][0]}, {4 * 30, 4 * 38, 4 * 40},
                                           oracle_of(activation));
          });
    }
  }
}

// More elements than a chunk of a device's sums, and a count that is no multiple of four.
TEST(ScaleLevels, SumsOverChunks) {
  PyramidGeometry geometry(1);
  geometry.add_level(91, 91, 8);
  for (const ScaleActivation activation : {ScaleActivation::none, ScaleActivation::exp}) {
    std::vector<OpInput> inputs = {random_input({geometry.rows(), 1}, 5), {{1}, {1.25}, true}};
    inputs[0].differentiable = false;
    check_op(
        "scale_levels", inputs,
        [&](Tape& tape, const std::vector<Variable>& in) {
          return scale_levels(tape, {in[0], geometry}, {in[1]}, activation).rows;
        },
        [&](const auto& in) { return reference::scale_levels(in[0], in[1], {in[0].size()}, oracle_of(activation)); });
  }
}

TEST(ScaleLevels, DoesNotDependOnTheNumberOfThreads) {
  PyramidGeometry geometry(1);
  geometry.add_level(100, 168, 8);
  expect_same_bits_for_any_threads("scale_levels", {random_input({geometry.rows(), 4}, 3), random_input({1}, 4)},
                                   [&](Tape& tape, const std::vector<Variable>& in) {
                                     return scale_levels(tape, {in[0], geometry}, {in[1]}, ScaleActivation::exp).rows;
                                   });
}

TEST(ScaleLevels, RefusesAWrongNumberOfScales) {
  PlanContext context;
  Tape tape(context);
  const PyramidGeometry geometry = two_images();
  const Variable rows = Tensor::empty(context, {geometry.rows(), 4}), one = Tensor::empty(context, {1});
  EXPECT_THROW(scale_levels(tape, {rows, geometry}, {one, one}, ScaleActivation::none), Error);
}

}  // namespace
}  // namespace tessera
