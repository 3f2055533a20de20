#include "engine/ops/conv2d_group_norm.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/ops/thread_invariance.h"
#include "tests/reference/conv2d.h"
#include "tests/reference/group_norm.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::ConvolutionCase;
using Inputs = std::vector<Variable>;
using Values = std::vector<std::vector<double>>;

struct Case {
  ConvolutionCase conv;
  int norm_groups;
  bool relu;
};

const Case kCases[] = {
    {{2, 5, 7, 6, 12, 3, 3, 1, 1, 1}, 3, true},    // Winograd's algorithm on the CPU has too little to gain
    {{1, 9, 13, 16, 32, 3, 3, 1, 1, 1}, 4, true},  // and enough
    {{2, 6, 5, 8, 10, 1, 1, 1, 0, 1}, 10, false},  // one channel each
    {{1, 8, 9, 8, 8, 3, 3, 2, 1, 2}, 1, true},     // one group, grouped convolution
    {{1, 1, 1, 4, 8, 1, 1, 1, 0, 1}, 2, false},    // one cell
};

// x, weight, bias of the convolution; weight, bias of the norm.
std::vector<OpInput> inputs_of(const ConvolutionCase& at) {
  return {random_input({at.images, at.height, at.width, at.in}, 1),
          random_input({at.out, at.window_height, at.window_width, at.in / at.groups}, 2),
          random_input({at.out}, 3, 1, 2), random_input({at.out}, 4, 0.5, 1), random_input({at.out}, 5)};
}

Conv2dOptions options_of(const ConvolutionCase& at) {
  return {static_cast<int>(at.stride), static_cast<int>(at.padding), static_cast<int>(at.groups)};
}

Variable fused(Tape& tape, const Inputs& in, const Case& at) {
  return conv2d_group_norm(tape, {in[0], in[1], in[2], {}, {}, {}}, options_of(at.conv), {in[3], in[4]},
                           {.groups = at.norm_groups, .relu = at.relu})
      .y;
}

// The convolution's error as its own test allows it; the norm divides by deviations above 1 and multiplies by weights
// below 4, differentiates through both.
OpTolerance tolerance_of(const ConvolutionCase& at) {
  OpTolerance tolerance;
  tolerance.forward_absolute = 8e-6 * static_cast<double>(at.window_height * at.window_width * at.in / at.groups + 16);
  tolerance.jacobian_limit = 60;
  return tolerance;
}

TEST(Conv2dGroupNorm, AgreesWithOracle) {
  for (const Case& at : kCases) {
    const int64_t cells = at.conv.out_height() * at.conv.out_width();
    std::vector<std::pair<int64_t, int64_t>> segments;
    for (int64_t image = 0; image < at.conv.images; ++image) segments.emplace_back(image * cells, cells);
    std::vector<OpInput> inputs = inputs_of(at.conv);
    // A norm of single channels takes the bias away: its gradient is zero, and nothing to measure an error by.
    inputs[2].differentiable = at.norm_groups < at.conv.out;
    check_op(
        fmt::format("conv2d_group_norm {}x{}x{} {}->{}", at.conv.images, at.conv.height, at.conv.width, at.conv.in,
                    at.conv.out),
        inputs, [&](Tape& tape, const Inputs& in) { return fused(tape, in, at); },
        [&](const Values& in) {
          std::vector<double> y = reference::conv2d(at.conv, in[0], in[1]);
          for (size_t i = 0; i < y.size(); ++i) y[i] += in[2][i % in[2].size()];
          return reference::group_norm(y, in[3], in[4], segments, at.norm_groups, 1e-5, at.relu);
        },
        tolerance_of(at.conv));
  }
}

PyramidGeometry small_pyramid() {
  PyramidGeometry geometry(2);
  geometry.add_level(11, 13, 8);
  geometry.add_level(5, 6, 16);
  geometry.add_level(1, 2, 32);
  return geometry;
}

// Levels and images share tiles of the kernels, and no statistics.
TEST(Conv2dGroupNorm, AgreesWithOraclePerImageAndLevelOfAPyramid) {
  constexpr int64_t kChannels = 16;
  const PyramidGeometry geometry = small_pyramid();
  OpTolerance tolerance = tolerance_of({1, 1, 1, kChannels, kChannels, 3, 3, 1, 1, 1});
  tolerance.jacobian_limit = 24;
  check_op(
      "conv2d_group_norm pyramid",
      {random_input({geometry.rows(), kChannels}, 1), random_input({kChannels, 3, 3, kChannels}, 2),
       random_input({kChannels}, 3, 1, 2), random_input({kChannels}, 4, 0.5, 1), random_input({kChannels}, 5)},
      [&](Tape& tape, const Inputs& in) {
        return conv2d_group_norm(tape, Pyramid{in[0], geometry}, in[1], in[2], {.padding = 1}, {in[3], in[4]},
                                 {.groups = 4, .relu = true})
            .y.rows;
      },
      [&](const Values& in) {
        std::vector<double> y;
        std::vector<std::pair<int64_t, int64_t>> segments;
        for (const PyramidLevel& level : geometry.levels()) {
          const ConvolutionCase at{2, level.height, level.width, kChannels, kChannels, 3, 3, 1, 1, 1};
          const auto begin = in[0].begin() + level.row_begin * kChannels;
          const std::vector<double> of_level =
              reference::conv2d(at, {begin, begin + 2 * level.cells() * kChannels}, in[1]);
          y.insert(y.end(), of_level.begin(), of_level.end());
          for (int64_t image = 0; image < 2; ++image) {
            segments.emplace_back(level.row_begin + image * level.cells(), level.cells());
          }
        }
        for (size_t i = 0; i < y.size(); ++i) y[i] += in[2][i % in[2].size()];
        return reference::group_norm(y, in[3], in[4], segments, 4, 1e-5, true);
      },
      tolerance);
}

Inputs upload(Tape& tape, const ConvolutionCase& at) {
  Inputs in;
  for (const OpInput& input : inputs_of(at)) {
    in.push_back(tape.input(Tensor::from_host<float>(tape.context(), input.shape,
                                                     std::vector<float>(input.values.begin(), input.values.end()))));
  }
  return in;
}

// The two ops one after the other differ in the last bits of mean and deviation, and in nothing else.
TEST(Conv2dGroupNorm, AgreesWithTheTwoOps) {
  for (const Case& at : kCases) {
    for_each_backend([&](Context& context) {
      const auto run = [&](bool together) {
        Tape tape(context);
        const Inputs in = upload(tape, at.conv);
        const Variable y = together
                               ? fused(tape, in, at)
                               : group_norm(tape, conv2d(tape, {in[0], in[1], in[2], {}, {}, {}}, options_of(at.conv)),
                                            in[3], in[4], {.groups = at.norm_groups, .relu = at.relu});
        const OpInput cotangent = random_input(y.shape(), 6);
        tape.backward(y, Tensor::from_host<float>(
                             context, y.shape(), std::vector<float>(cotangent.values.begin(), cotangent.values.end())));
        std::vector<std::vector<float>> results{y.value.to_host<float>(context)};
        for (const Variable& variable : in) results.push_back(tape.gradient(variable).to_host<float>(context));
        return results;
      };
      const auto expected = run(false), computed = run(true);
      for (size_t result = 0; result < expected.size(); ++result) {
        double largest = 0;
        for (const float value : expected[result]) largest = std::max(largest, std::abs(double{value}));
        for (size_t i = 0; i < expected[result].size(); ++i) {
          ASSERT_NEAR(computed[result][i], expected[result][i], 1e-5 * (1 + largest)) << "result " << result;
        }
      }
    });
  }
}

TEST(Conv2dGroupNorm, DoesNotDependOnTheNumberOfThreads) {
  const Case at{{3, 23, 22, 16, 32, 3, 3, 1, 1, 1}, 8, true};
  expect_same_bits_for_any_threads("conv2d_group_norm", inputs_of(at.conv),
                                   [&](Tape& tape, const Inputs& in) { return fused(tape, in, at); });
}

// The convolution's output stays where a backward pass or an observer wants it, and is overwritten elsewhere.
TEST(Conv2dGroupNorm, NormalisesInPlaceWhereNobodyElseReads) {
  const Case at{{1, 6, 7, 8, 8, 3, 3, 1, 1, 1}, 4, false};
  enum class Way { forward, observed, recorded };
  for_each_backend([&](Context& context) {
    std::vector<std::vector<float>> results;
    for (const Way way : {Way::forward, Way::observed, Way::recorded}) {
      Tape tape(context, way == Way::recorded ? Tape::Mode::record : Tape::Mode::forward);
      if (way == Way::observed) tape.observe_activations([](const std::string&, const Tensor&, bool) {});
      const Inputs in = upload(tape, at.conv);
      const auto [convolution, y] = conv2d_group_norm(tape, {in[0], in[1], in[2], {}, {}, {}}, options_of(at.conv),
                                                      {in[3], in[4]}, {.groups = at.norm_groups});
      EXPECT_EQ(convolution.value.storage() == y.value.storage(), way == Way::forward);
      if (way != Way::forward) {
        const Variable alone = conv2d(tape, {in[0], in[1], in[2], {}, {}, {}}, options_of(at.conv));
        EXPECT_EQ(convolution.value.to_host<float>(context), alone.value.to_host<float>(context));
      }
      results.push_back(y.value.to_host<float>(context));
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  });
}

// Statistics that do not cover a segment are a mistake of the kernel that left them.
TEST(Conv2dGroupNorm, RefusesStatisticsOfOtherRows) {
  CpuContext context(1);
  Tape tape(context, Tape::Mode::forward);
  const Inputs in = upload(tape, {1, 4, 5, 4, 8, 1, 1, 1, 0, 1});
  RowMomentTensors moments;
  const Variable y = conv2d(tape, {in[0], in[1], in[2], {}, {}, {}}, {}, &moments);
  ++moments.rows.data<int32_t>()[0];
  EXPECT_THROW(group_norm(tape, y, in[3], in[4], {.groups = 2}, {.moments = moments}), std::logic_error);
}

}  // namespace
}  // namespace tessera
