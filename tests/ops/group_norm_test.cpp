#include "engine/ops/group_norm.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/group_norm.h"

namespace tessera {
namespace {

using namespace testing_support;

using Segments = std::vector<std::pair<int64_t, int64_t>>;

PyramidGeometry small_pyramid() {
  PyramidGeometry geometry(2);
  geometry.add_level(4, 5, 8);
  geometry.add_level(2, 3, 16);
  geometry.add_level(1, 1, 32);
  return geometry;
}

OpInput affine_input(int64_t channels, uint64_t sample, double mean) {
  return random_input({channels}, sample, 1, mean);
}

TEST(GroupNorm, AgreesWithOracleOnMaps) {
  struct Case {
    Shape shape;
    int groups;
  };
  for (const Case& each :
       {Case{{1, 1, 1, 4}, 1}, Case{{2, 3, 5, 6}, 3}, Case{{1, 7, 3, 12}, 12}, Case{{3, 2, 2, 16}, 1},
        Case{{1, 4, 4, 40}, 5}, Case{{2, 1, 9, 7}, 7}, Case{{1, 1, 1, 7}, 1}}) {
    for (const bool relu : {false, true}) {
      Segments segments;
      const int64_t cells = each.shape[1] * each.shape[2];
      for (int64_t n = 0; n < each.shape[0]; ++n) segments.emplace_back(n * cells, cells);
      const int64_t channels = each.shape[3];
      check_op(
          "group_norm " + each.shape.to_string() + (relu ? " relu" : ""),
          {random_input(each.shape, 1, 2.0, 0.5), affine_input(channels, 2, 1), affine_input(channels, 3, 0)},
          [&](Tape& tape, const std::vector<Variable>& in) {
            return group_norm(tape, in[0], in[1], in[2], {.groups = each.groups, .relu = relu});
          },
          [&](const auto& in) {
            return reference::group_norm(in[0], in[1], in[2], segments, each.groups, 1e-5f, relu);
          });
    }
  }
}

TEST(GroupNorm, AgreesWithOraclePerImageAndLevelOfAPyramid) {
  const PyramidGeometry geometry = small_pyramid();
  const Segments segments = {{0, 20}, {20, 20}, {40, 6}, {46, 6}, {52, 1}, {53, 1}};
  for (const bool relu : {false, true}) {
    check_op(
        "group_norm pyramid", {random_input({geometry.rows(), 8}, 4), affine_input(8, 5, 1), affine_input(8, 6, 0)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return group_norm(tape, Pyramid{in[0], geometry}, in[1], in[2], {.groups = 4, .relu = relu}).rows;
        },
        [&](const auto& in) { return reference::group_norm(in[0], in[1], in[2], segments, 4, 1e-5f, relu); });
  }
}

TEST(GroupNorm, AgreesWithOracleAcrossManyChunks) {
  // More rows than one chunk, more channels than one block, tails in both.
  for (const Shape& shape : {Shape{1, 67, 41, 2}, Shape{2, 9, 13, 320}}) {
    const int64_t cells = shape[1] * shape[2], channels = shape[3];
    Segments segments;
    for (int64_t n = 0; n < shape[0]; ++n) segments.emplace_back(n * cells, cells);
    OpTolerance tolerance;
    tolerance.jacobian_limit = 24;
    tolerance.step = 1e-4;
    check_op(
        "group_norm " + shape.to_string(),
        {random_input(shape, 7, 3.0, -2.0), affine_input(channels, 8, 1), affine_input(channels, 9, 0)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return group_norm(tape, in[0], in[1], in[2], {.groups = 2, .relu = false});
        },
        [&](const auto& in) { return reference::group_norm(in[0], in[1], in[2], segments, 2, 1e-5f, false); },
        tolerance);
  }
}

TEST(GroupNorm, LosesNoVarianceToALargeMean) {
  // Mean 4096, deviation 1: sums of squares in float would leave nothing. The inputs themselves carry 2^-11.
  const Shape shape = {1, 40, 40, 8};
  check_op_forward(
      "group_norm of a large mean",
      {random_input(shape, 10, 1.0, 4096.0), affine_input(8, 11, 1), affine_input(8, 12, 0)},
      [&](Tape& tape, const std::vector<Variable>& in) { return group_norm(tape, in[0], in[1], in[2], {.groups = 4}); },
      [&](const auto& in) {
        return reference::group_norm(in[0], in[1], in[2], {{0, 1600}}, 4, 1e-5f, false);
      },
      {.forward_absolute = 2e-3});
}

TEST(GroupNorm, OfAConstantIsTheBias) {
  CpuContext context(2);
  Tape tape(context, Tape::Mode::forward);
  const std::vector<float> constant(64, 3.25f);
  const std::vector<float> weight(4, 2.0f), bias = {1, -2, 3, 4};
  const Variable y = group_norm(tape, Tensor::from_host<float>(context, {1, 4, 4, 4}, constant),
                                Tensor::from_host<float>(context, {4}, weight),
                                Tensor::from_host<float>(context, {4}, bias), {.groups = 2, .relu = true});
  const std::vector<float> values = y.value.to_host<float>(context);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], std::max(bias[i % 4], 0.0f));
}

TEST(GroupNorm, DoesNotDependOnTheNumberOfThreads) {
  expect_same_bits_for_any_threads(
      "group_norm", {random_input({3, 31, 29, 24}, 13), affine_input(24, 14, 1), affine_input(24, 15, 0)},
      [](Tape& tape, const std::vector<Variable>& in) {
        return group_norm(tape, in[0], in[1], in[2], {.groups = 8, .relu = true});
      });
}

TEST(GroupNorm, ComputesOnlyTheGradientsThatAreWanted) {
  CpuContext context(1);
  for (const size_t wanted : {0, 1, 2}) {
    Tape tape(context);
    std::vector<Variable> in;
    for (const Shape& shape : {Shape{2, 3, 3, 8}, Shape{8}, Shape{8}}) {
      const OpInput random = random_input(shape, 16 + in.size());
      const std::vector<float> values(random.values.begin(), random.values.end());
      const Tensor tensor = Tensor::from_host<float>(context, shape, values);
      in.push_back(in.size() == wanted ? tape.input(tensor) : Variable(tensor));
    }
    const Variable y = group_norm(tape, in[0], in[1], in[2], {.groups = 2});
    tape.backward(y, y.value);
    EXPECT_EQ(tape.gradient(in[wanted]).shape(), in[wanted].shape());
  }
}

TEST(GroupNorm, RefusesGroupsThatDoNotDivide) {
  PlanContext context;
  Tape tape(context);
  const Tensor channel = Tensor::empty(context, {10});
  EXPECT_THROW(group_norm(tape, Tensor::empty(context, {1, 2, 2, 10}), channel, channel, {.groups = 4}), Error);
}

}  // namespace
}  // namespace tessera
