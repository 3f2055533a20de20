#include "engine/ops/conv2d.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/conv2d.h"
#include "tests/reference/relu.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::ConvolutionCase;

std::string describe(const ConvolutionCase& at) {
  return fmt::format("conv2d {}x{}x{} {}->{} window {}x{} stride {} padding {} groups {}", at.images, at.height,
                     at.width, at.in, at.out, at.window_height, at.window_width, at.stride, at.padding, at.groups);
}

Shape map_shape(const ConvolutionCase& at) { return {at.images, at.height, at.width, at.in}; }
Shape weight_shape(const ConvolutionCase& at) { return {at.out, at.window_height, at.window_width, at.in / at.groups}; }
Shape out_shape(const ConvolutionCase& at) { return {at.images, at.out_height(), at.out_width(), at.out}; }

Conv2dOptions options_of(const ConvolutionCase& at, bool relu = false) {
  return {static_cast<int>(at.stride), static_cast<int>(at.padding), static_cast<int>(at.groups), relu};
}

OpTolerance tolerance_of(const ConvolutionCase& at) {
  OpTolerance tolerance;
  tolerance.forward_absolute = 2e-6 * static_cast<double>(at.window_height * at.window_width * at.in + 16);
  tolerance.jacobian_limit = 60;
  return tolerance;
}

const ConvolutionCase kCases[] = {
    {1, 5, 7, 3, 5, 3, 3, 1, 1, 1},    {2, 4, 4, 8, 16, 3, 3, 1, 1, 1},   {1, 1, 1, 1, 1, 1, 1, 1, 0, 1},
    {2, 3, 5, 80, 4, 1, 1, 1, 0, 1},   {1, 5, 6, 6, 33, 1, 1, 2, 0, 1},   {1, 6, 7, 5, 9, 1, 1, 2, 0, 1},
    {2, 9, 8, 3, 24, 7, 7, 2, 3, 1},   {1, 2, 3, 3, 8, 7, 7, 2, 3, 1},    {1, 2, 2, 4, 20, 3, 3, 1, 1, 1},
    {2, 7, 5, 12, 17, 3, 3, 2, 1, 1},  {1, 8, 8, 16, 16, 3, 3, 2, 1, 1},  {1, 6, 5, 8, 12, 3, 3, 1, 1, 2},
    {2, 5, 5, 64, 64, 3, 3, 1, 1, 32}, {1, 5, 7, 64, 64, 3, 3, 2, 1, 32}, {1, 4, 5, 10, 10, 3, 3, 1, 1, 10},
    {1, 6, 9, 32, 48, 3, 3, 1, 1, 1},  {1, 4, 6, 7, 1, 3, 3, 1, 1, 1},    {1, 9, 9, 2, 3, 5, 3, 3, 2, 1},
    {1, 7, 6, 4, 70, 2, 2, 2, 0, 1},   {3, 3, 3, 20, 288, 1, 1, 1, 0, 1}, {1, 4, 4, 2, 3, 3, 3, 1, 0, 1},
    {1, 3, 40, 19, 8, 3, 3, 1, 1, 1},  {1, 2, 2, 6, 4, 3, 3, 1, 2, 1},    {1, 5, 5, 2, 2, 1, 1, 3, 0, 1},
    {2, 6, 7, 48, 48, 3, 3, 1, 1, 12}, {1, 7, 6, 16, 16, 3, 3, 2, 1, 16}, {1, 5, 4, 32, 32, 3, 3, 1, 1, 8},
};

TEST(Conv2d, AgreesWithOracle) {
  for (const ConvolutionCase& at : kCases) {
    check_op(
        describe(at), {random_input(map_shape(at), 1), random_input(weight_shape(at), 2)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return conv2d(tape, {in[0], in[1], {}, {}, {}, {}}, options_of(at));
        },
        [&](const auto& in) { return reference::conv2d(at, in[0], in[1]); }, tolerance_of(at));
  }
}

// Every combination of bias, affine, residual and ReLU.
TEST(Conv2d, EpiloguesAgreeWithOracle) {
  for (unsigned mask = 0; mask < 32; ++mask) {
    const bool grouped = mask & 16;
    const ConvolutionCase at =
        grouped ? ConvolutionCase{1, 3, 4, 16, 16, 3, 3, 1, 1, 4} : ConvolutionCase{2, 4, 5, 6, 19, 3, 3, 1, 1, 1};
    const bool bias = mask & 1, affine = mask & 2, residual = mask & 4, rectified = mask & 8;
    std::vector<OpInput> inputs{random_input(map_shape(at), 1), random_input(weight_shape(at), 2),
                                random_input({at.out}, 3),      random_input({at.out}, 4),
                                random_input({at.out}, 5),      random_input(out_shape(at), 6)};
    inputs[2].differentiable = bias;
    inputs[3].differentiable = inputs[4].differentiable = false;
    inputs[5].differentiable = residual;
    const auto sum = [&](const std::vector<std::vector<double>>& in) {
      std::vector<double> y = reference::conv2d(at, in[0], in[1]);
      for (size_t i = 0; i < y.size(); ++i) {
        const size_t o = i % static_cast<size_t>(at.out);
        if (affine) y[i] = in[3][o] * y[i] + in[4][o];
        if (bias) y[i] += in[2][o];
        if (residual) y[i] += in[5][i];
      }
      return y;
    };
    check_op(
        fmt::format("epilogue {}", mask), inputs,
        [&](Tape& tape, const std::vector<Variable>& in) {
          Conv2dInputs of{in[0], in[1], {}, {}, {}, {}};
          if (bias) of.bias = in[2];
          if (affine) of.scale = in[3], of.shift = in[4];
          if (residual) of.residual = in[5];
          return conv2d(tape, of, options_of(at, rectified));
        },
        [&](const auto& in) { return rectified ? reference::relu(sum(in)) : sum(in); }, tolerance_of(at));
  }
}

// Longer than every block and panel of the kernels: 96 and 192 cells, 256 channels.
TEST(Conv2d, LongRowsAndManyChannelsAgreeWithOracle) {
  for (const ConvolutionCase& at : {ConvolutionCase{1, 2, 3, 300, 20, 3, 3, 1, 1, 1},
                                    {1, 2, 200, 17, 9, 3, 3, 1, 1, 1},
                                    {1, 2, 401, 3, 5, 3, 3, 2, 1, 1},
                                    {1, 1, 210, 530, 3, 1, 1, 1, 0, 1}}) {
    OpTolerance tolerance = tolerance_of(at);
    tolerance.jacobian_limit = 20;
    check_op(
        describe(at), {random_input(map_shape(at), 1), random_input(weight_shape(at), 2)},
        [&](Tape& tape, const std::vector<Variable>& in) {
          return conv2d(tape, {in[0], in[1], {}, {}, {}, {}}, options_of(at));
        },
        [&](const auto& in) { return reference::conv2d(at, in[0], in[1]); }, tolerance);
  }
}

// Work is divided by the number of threads, sums are not.
TEST(Conv2d, SameBitsForAnyNumberOfThreads) {
  const auto run = [](int threads, const ConvolutionCase& at) {
    CpuContext context(threads);
    Tape tape(context);
    const auto upload = [&](const Shape& shape, uint64_t sample) {
      const OpInput input = random_input(shape, sample);
      return tape.input(
          Tensor::from_host<float>(context, shape, std::vector<float>(input.values.begin(), input.values.end())));
    };
    const Variable x = upload(map_shape(at), 1), weight = upload(weight_shape(at), 2), bias = upload({at.out}, 3);
    const Variable y = conv2d(tape, {x, weight, bias, {}, {}, {}}, options_of(at, true));
    const std::vector<float> output = y.value.to_host<float>(context);
    tape.backward(y, y.value);
    return std::array{output, tape.gradient(x).to_host<float>(context), tape.gradient(weight).to_host<float>(context),
                      tape.gradient(bias).to_host<float>(context)};
  };
  for (const ConvolutionCase& at : {ConvolutionCase{2, 40, 60, 20, 70, 3, 3, 1, 1, 1},
                                    {1, 30, 40, 3, 40, 7, 7, 2, 3, 1},
                                    {2, 4, 4, 280, 90, 1, 1, 1, 0, 1},
                                    {1, 9, 9, 64, 64, 3, 3, 2, 1, 8},
                                    {2, 12, 11, 64, 64, 3, 3, 1, 1, 16}}) {
    const auto expected = run(1, at);
    for (const int threads : {2, 3, 5}) EXPECT_EQ(run(threads, at), expected) << describe(at) << " " << threads;
  }
}

TEST(Conv2d, EmptyBatchGivesEmptyMapAndZeroGradients) {
  const ConvolutionCase at{0, 4, 5, 3, 6, 3, 3, 1, 1, 1};
  check_op(
      describe(at), {random_input(map_shape(at), 1), random_input(weight_shape(at), 2), random_input({at.out}, 3)},
      [&](Tape& tape, const std::vector<Variable>& in) {
        return conv2d(tape, {in[0], in[1], in[2], {}, {}, {}}, options_of(at));
      },
      [&](const auto&) { return std::vector<double>{}; });
}

TEST(Conv2d, WindowLargerThanThePaddedMapGivesEmptyMap) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Variable x = Tensor::zeros(context, {1, 2, 9, 4}), weight = Tensor::zeros(context, {3, 7, 7, 4});
    EXPECT_EQ(conv2d(tape, {x, weight, {}, {}, {}, {}}, {1, 2, 1, false}).shape(), (Shape{1, 0, 7, 3}));
  });
}

TEST(Conv2d, FrozenWeightsKeepNoInput) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Variable x = tape.input(Tensor::zeros(context, {1, 8, 8, 4}));
    const Variable weight = Tensor::zeros(context, {4, 3, 3, 4});
    const Variable y = conv2d(tape, {x, weight, {}, {}, {}, {}}, {1, 1, 1, false});
    EXPECT_EQ(tape.saved_bytes(), weight.value.bytes());
    tape.backward(y, Tensor::zeros(context, y.shape()));
    EXPECT_TRUE(tape.gradient(x).defined());
  });
}

TEST(Conv2d, ConstantInputKeepsNoWeights) {
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Variable x = Tensor::zeros(context, {1, 8, 8, 4});
    const Variable weight = tape.input(Tensor::zeros(context, {4, 3, 3, 4}));
    conv2d(tape, {x, weight, {}, {}, {}, {}}, {1, 1, 1, false});
    EXPECT_EQ(tape.saved_bytes(), x.value.bytes());
  });
}

TEST(Conv2d, PyramidEqualsLevels) {
  PyramidGeometry geometry(2);
  geometry.add_level(6, 9, 8);
  geometry.add_level(3, 5, 16);
  geometry.add_level(1, 1, 32);
  for (const int64_t window : {1, 3}) {
    for (const int64_t out : {5, 32}) {
      check_op(
          fmt::format("pyramid window {} out {}", window, out),
          {random_input({geometry.rows(), 10}, 1), random_input({out, window, window, 10}, 2),
           random_input({out}, 3, 1.0, 0.0)},
          [&](Tape& tape, const std::vector<Variable>& in) {
            return conv2d(tape, Pyramid{in[0], geometry}, in[1], in[2], {1, static_cast<int>(window / 2), 1, false})
                .rows;
          },
          [&](const auto& in) {
            std::vector<double> rows;
            for (const PyramidLevel& level : geometry.levels()) {
              const ConvolutionCase at{2, level.height, level.width, 10, out, window, window, 1, window / 2, 1};
              const auto begin = in[0].begin() + level.row_begin * 10;
              for (const double value : reference::conv2d(at, {begin, begin + 2 * level.cells() * 10}, in[1])) {
                rows.push_back(value + in[2][rows.size() % static_cast<size_t>(out)]);
              }
            }
            return rows;
          },
          OpTolerance{.forward_absolute = 1e-4, .jacobian_limit = 60});
    }
  }
}

TEST(Conv2d, PlanGivesShapesAndWork) {
  PlanContext context;
  Tape tape(context);
  const Variable x = Tensor::empty(context, {2, 800, 1344, 3});
  const Variable weight = tape.input(Tensor::empty(context, {64, 7, 7, 3}));
  const Variable bias = tape.input(Tensor::empty(context, {64})), shift = Tensor::empty(context, {64});
  const Variable y = conv2d(tape, {x, weight, bias, shift, shift, {}}, {2, 3, 1, true});
  EXPECT_EQ(y.shape(), (Shape{2, 400, 672, 64}));
  EXPECT_EQ(tape.costs().at(0).macs, int64_t{2} * 400 * 672 * 64 * 147);
  tape.backward(y, Tensor::empty(context, y.shape()));
  EXPECT_EQ(tape.gradient(weight).shape(), weight.shape());
}

TEST(Conv2d, RefusesShapesThatDoNotMatch) {
  PlanContext context;
  Tape tape(context);
  const auto map = [&](const Shape& shape) { return Variable(Tensor::empty(context, shape)); };
  EXPECT_THROW(conv2d(tape, {map({1, 4, 4, 3}), map({8, 3, 3, 4}), {}, {}, {}, {}}), Error);
  EXPECT_THROW(conv2d(tape, {map({1, 4, 4, 4}), map({8, 3, 3, 4}), map({7}), {}, {}, {}}), Error);
  EXPECT_THROW(conv2d(tape, {map({1, 4, 4, 4}), map({8, 3, 3, 4}), {}, {}, {}, map({1, 4, 4, 8})}), Error);
  EXPECT_THROW(conv2d(tape, {map({1, 4, 4, 4}), map({9, 3, 3, 2}), {}, {}, {}, {}}, {1, 1, 2, false}), Error);
  EXPECT_THROW(conv2d(tape, {map({1, 4, 4, 4}), map({8, 3, 3, 4}), {}, {}, {}, {}}, {0, 1, 1, false}), Error);
}

}  // namespace
}  // namespace tessera
