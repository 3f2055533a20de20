// Branches of a convolution: what a call over several sets of weights writes has the bits of a call for each, on every
// backend, and on a device it is as many launches as a call for one. Separate calls are held to the oracle in
// conv2d_test.cpp and conv2d_device_test.cpp, the op over branches here.
#include <gtest/gtest.h>

#include <memory>

#include "engine/core/dispatch.h"
#include "engine/ops/concat.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/scale.h"
#include "kernels/conv2d.h"
#include "kernels/conv2d_choice.h"
#include "kernels/launch_graph.h"
#include "tests/ops/conv2d_problem.h"
#include "tests/ops/thread_invariance.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr ConvMath kAllMath[] = {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16, ConvMath::fp16,
                                 ConvMath::fp16_accumulate_chunked};

// Maps of branches with one window, and which operands the branches have.
struct BranchProblem {
  std::vector<Problem> branches;
  bool shared_x = false;  // the first branch's x in all of them
  bool epilogue = false;  // ReLU in all; scale, bias and residual in some
  bool moments = false;
};

Tensor random_tensor(Context& context, int64_t count, uint64_t sample) {
  return upload(context, random_input({count}, sample).values);
}

// Operands of the branches on a device, places for what calls write, and the calls.
class Branches {
 public:
  Branches(Context& context, const BranchProblem& problem, ConvMath math) : context_(context) {
    size_t index = 0;
    for (const Problem& of : problem.branches) {
      Memory& memory = *memory_.emplace_back(std::make_unique<Memory>());
      const Conv2dWindow window = of.window();
      const uint64_t sample = 10 * ++index;
      memory.maps = of.maps();
      memory.x = problem.shared_x && index > 1 ? memory_.front()->x : random_tensor(context, of.in_size(), sample);
      memory.weight = random_tensor(context, window.weight_elements(), sample + 1);
      memory.dy = random_tensor(context, of.out_size(), sample + 2);
      memory.scale = random_tensor(context, window.out_channels, sample + 3);
      memory.bias = random_tensor(context, window.out_channels, sample + 4);
      memory.residual = random_tensor(context, of.out_size(), sample + 5);
      memory.y = Tensor::empty(context, {of.out_size()});
      memory.dx = Tensor::empty(context, {of.in_size()});
      memory.dweight = Tensor::empty(context, {window.weight_elements()});
      const bool scaled = problem.epilogue && index != 1, biased = problem.epilogue && index != 2;
      const float* scale = scaled ? memory.scale.data<float>() : nullptr;
      if (problem.moments) {
        memory.moments = RowMomentTensors::empty(context, moment_parts(memory.maps), window.out_channels, "test");
      }
      forward_.push_back({window, memory.maps, memory.x.data<float>(), memory.weight.data<float>(), scale,
                          biased ? memory.bias.data<float>() : nullptr,
                          scaled ? memory.residual.data<float>() : nullptr, memory.y.data<float>(), problem.epilogue,
                          math, memory.moments.pointers()});
      data_.push_back({window, memory.maps, memory.dy.data<float>(), memory.weight.data<float>(), scale,
                       memory.dx.data<float>(), math});
      weight_.push_back({window, memory.maps, memory.x.data<float>(), memory.dy.data<float>(), scale,
                         memory.dweight.data<float>(), math});
    }
  }

  // choice: none or one.
  template <typename Device, typename... Choice>
  void call_together(Device& device, const Choice&... choice) const {
    conv2d_forward(device, Conv2dBranches<Conv2dForwardArgs>(forward_), choice...);
    conv2d_backward_data(device, Conv2dBranches<Conv2dBackwardDataArgs>(data_), choice...);
    conv2d_backward_weight(device, Conv2dBranches<Conv2dBackwardWeightArgs>(weight_), choice...);
  }
  template <typename Device, typename... Choice>
  void call_one_by_one(Device& device, const Choice&... choice) const {
    for (const auto& args : forward_) conv2d_forward(device, args, choice...);
    for (const auto& args : data_) conv2d_backward_data(device, args, choice...);
    for (const auto& args : weight_) conv2d_backward_weight(device, args, choice...);
  }

  // All that was written, statistics where they are used.
  std::vector<std::vector<float>> written() const {
    std::vector<std::vector<float>> all;
    for (const auto& memory : memory_) {
      for (const Tensor* tensor : {&memory->y, &memory->dx, &memory->dweight}) {
        all.push_back(tensor->to_host<float>(context_));
      }
      if (!memory->moments.rows.defined()) continue;
      const std::vector<int32_t> rows = memory->moments.rows.to_host<int32_t>(context_);
      std::vector<float> values = memory->moments.values.to_host<float>(context_);
      const size_t of_part = rows.empty() ? 0 : values.size() / rows.size();
      for (size_t i = 0; i < values.size(); ++i) values[i] = rows[i / of_part] > 0 ? values[i] : 0;
      all.emplace_back(rows.begin(), rows.end());
      all.push_back(values);
    }
    return all;
  }

 private:
  struct Memory {
    std::vector<Conv2dMap> maps;
    Tensor x, weight, dy, scale, bias, residual, y, dx, dweight;
    RowMomentTensors moments;
  };
  Context& context_;
  std::vector<std::unique_ptr<Memory>> memory_;
  std::vector<Conv2dForwardArgs> forward_;
  std::vector<Conv2dBackwardDataArgs> data_;
  std::vector<Conv2dBackwardWeightArgs> weight_;
};

// Calls run(concrete context) on devices.
template <typename Run>
void on_device(Context& context, const Run& run) {
  dispatch(context, [&](auto& device) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(device)>, CpuContext>) run(device);
  });
}

void expect_the_bits_of_separate_calls(const BranchProblem& problem, std::span<const ConvTile> tiles,
                                       std::span<const ConvMath> all_math) {
  for (const ConvMath math : all_math) {
    for_each_backend([&](Context& context) {
      if (context.backend() == Backend::cpu) return;
      for (const ConvTile tile : tiles) {
        for (const int splits : {1, 3}) {
          const Branches together(context, problem, math), separate(context, problem, math);
          on_device(context, [&](auto& device) {
            together.call_together(device, ConvChoice{tile, splits});
            separate.call_one_by_one(device, ConvChoice{tile, splits});
          });
          const auto found = together.written(), expected = separate.written();
          for (size_t i = 0; i < expected.size(); ++i) {
            ASSERT_EQ(found[i], expected[i]) << "math " << static_cast<int>(math) << " tile " << static_cast<int>(tile)
                                             << " splits " << splits << " tensor " << i;
          }
        }
      }
    });
  }
}

constexpr ConvTile kTiles[] = {ConvTile::m128n128, ConvTile::m128n64, ConvTile::m64n64, ConvTile::m128n16,
                               ConvTile::m16n64};
constexpr ConvTile kSmallTile[] = {ConvTile::m64n64};

// images, height, width, in, out, window, stride, padding, groups.
const Problem kTwoLevels{{{2, 9, 8, 12, 20, 3, 3, 1, 1, 1}, {2, 3, 5, 12, 20, 3, 3, 1, 1, 1}}};
const Problem kOneLevel{{{1, 7, 11, 12, 20, 3, 3, 1, 1, 1}}};
const Problem kEmptyMaps{{{0, 4, 5, 12, 20, 3, 3, 1, 1, 1}, {1, 0, 3, 12, 20, 3, 3, 1, 1, 1}}};
const Problem kEmptyAmongOthers{
    {{1, 2, 3, 12, 20, 3, 3, 1, 1, 1}, {0, 4, 5, 12, 20, 3, 3, 1, 1, 1}, {1, 1, 1, 12, 20, 3, 3, 1, 1, 1}}};

// Small enough for the race checker.
TEST(Conv2dBranches, SmallMapsInEveryTileAndPrecision) {
  const Problem small{{{1, 4, 5, 12, 20, 3, 3, 1, 1, 1}}};
  expect_the_bits_of_separate_calls({{small, small}, true, true, true}, kTiles, kAllMath);
}

// More rows than a tile, and levels that end within one.
TEST(Conv2dBranches, TwoOverLevels) {
  constexpr ConvTile kSomeTiles[] = {ConvTile::m128n64, ConvTile::m64n64, ConvTile::m16n64};
  constexpr ConvMath kMath[] = {ConvMath::fp32, ConvMath::bf16};
  expect_the_bits_of_separate_calls({{kTwoLevels, kTwoLevels}, true, false, true}, kSomeTiles, kMath);
}

TEST(Conv2dBranches, ThreeOfDifferentMaps) {
  constexpr ConvTile kSomeTiles[] = {ConvTile::m128n128, ConvTile::m128n16};
  constexpr ConvMath kMath[] = {ConvMath::tf32, ConvMath::fp16};
  expect_the_bits_of_separate_calls({{kTwoLevels, kOneLevel, kEmptyAmongOthers}, false, true, false}, kSomeTiles,
                                    kMath);
}

TEST(Conv2dBranches, StatisticsBehindAnEpilogue) {
  constexpr ConvMath kMath[] = {ConvMath::fp32, ConvMath::bf16};
  expect_the_bits_of_separate_calls({{kTwoLevels, kEmptyMaps, kOneLevel}, false, true, true}, kSmallTile, kMath);
}

TEST(Conv2dBranches, OfNothing) {
  constexpr ConvMath kMath[] = {ConvMath::fp32, ConvMath::bf16};
  expect_the_bits_of_separate_calls({{kEmptyMaps, kOneLevel}, false, true, false}, kSmallTile, kMath);
  expect_the_bits_of_separate_calls({{kEmptyMaps, kEmptyMaps}, true, false, true}, kSmallTile, kMath);
}

// Strides have phases, groups their own columns; channels in no fours.
TEST(Conv2dBranches, StridesAndGroups) {
  constexpr ConvMath kMath[] = {ConvMath::fp32, ConvMath::tf32, ConvMath::fp16};
  const Problem strided{{{1, 7, 9, 9, 8, 3, 3, 2, 1, 1}, {2, 4, 3, 9, 8, 3, 3, 2, 1, 1}}};
  const Problem grouped{{{1, 5, 7, 24, 16, 3, 3, 1, 1, 2}}};
  expect_the_bits_of_separate_calls({{strided, strided, strided}, false, true, true}, kSmallTile, kMath);
  expect_the_bits_of_separate_calls({{grouped, grouped}, true, false, true}, kSmallTile, kMath);
}

// More branches, and more maps in them, than a launch has room for.
TEST(Conv2dBranches, MoreThanALaunchHasRoomFor) {
  constexpr ConvMath kMath[] = {ConvMath::fp32, ConvMath::bf16};
  BranchProblem problem{std::vector<Problem>(6), false, true, true};
  for (size_t branch = 0; branch < problem.branches.size(); ++branch) {
    for (int64_t i = 0; i < (branch == 2 ? 35 : 9); ++i) {
      problem.branches[branch].cases.push_back({1 + i % 2, 1 + i % 4, 1 + i % 3, 8, 8, 3, 3, 1, 1, 1});
    }
  }
  expect_the_bits_of_separate_calls(problem, kSmallTile, kMath);
}

TEST(Conv2dBranches, OnTheCpuForAnyNumberOfThreads) {
  const Problem winograd{{{2, 19, 23, 32, 48, 3, 3, 1, 1, 1}, {2, 5, 6, 32, 48, 3, 3, 1, 1, 1}}};
  const Problem direct{{{2, 11, 9, 24, 32, 3, 3, 2, 1, 1}}};
  for (const Problem& of : {winograd, direct}) {
    for (const bool shared : {true, false}) {
      for (const ConvMath math : {ConvMath::fp32, ConvMath::bf16}) {
        std::vector<std::vector<float>> expected;
        for (const int threads : {1, 2, 3, 5}) {
          CpuContext context(threads);
          const BranchProblem problem{{of, of, of}, shared, true, true};
          const Branches together(context, problem, math), separate(context, problem, math);
          together.call_together(context);
          separate.call_one_by_one(context);
          if (expected.empty()) expected = separate.written();
          EXPECT_TRUE(separate.written() == expected) << threads;
          EXPECT_TRUE(together.written() == expected) << threads;
        }
      }
    }
  }
}

// Copies of the operands, products, second passes: as many launches for two or four branches as for one.
TEST(Conv2dBranches, AreTheLaunchesOfOne) {
  for (const ConvMath math : {ConvMath::fp32, ConvMath::bf16}) {
    for (const bool moments : {false, true}) {
      for (const int splits : {1, 4}) {
        std::vector<int64_t> launches;
        for (const size_t count : {1, 2, 4}) {
          EmulatedContext context;
          const Branches branches(context, {std::vector<Problem>(count, kTwoLevels), count == 2, true, moments}, math);
          context.begin_capture();
          branches.call_together(context, ConvChoice{ConvTile::m64n64, splits});
          launches.push_back(context.end_capture()->launches());
        }
        EXPECT_EQ(launches[1], launches[0]) << "splits " << splits;
        EXPECT_EQ(launches[2], launches[0]) << "splits " << splits;
        // Forward, data gradient, weight gradient; weights for the data gradient; second passes; no parts; copies.
        EXPECT_EQ(launches[0], 4 + (splits > 1 ? 3 : 0) + (moments ? 1 : 0) + (math == ConvMath::bf16 ? 3 : 0));
      }
    }
  }
}

// A tuner, and with it the prediction of `model info`, sees the rows of all branches.
TEST(Conv2dBranches, ChoiceIsForTheRowsOfAll) {
  struct Recorder final : ConvTuner {
    std::vector<std::vector<int64_t>> rows;
    ConvChoice choose(const ConvWork& work, const std::function<double(const ConvChoice&)>&) override {
      rows.emplace_back(work.rows.begin(), work.rows.end());
      return {ConvTile::m64n64, 1};
    }
  };
  EmulatedContext context;
  const Branches branches(context, {{kTwoLevels, kOneLevel}}, ConvMath::fp32);
  const auto recorder = std::make_shared<Recorder>();
  context.set_convolutions({.tuner = recorder});
  branches.call_together(context);
  EXPECT_EQ(recorder->rows, (std::vector<std::vector<int64_t>>{{144, 30, 77}, {144, 30, 77}, {20, 20}}));
}

PyramidGeometry geometry_of(int64_t images, std::initializer_list<std::pair<int64_t, int64_t>> levels) {
  PyramidGeometry geometry(images);
  for (const auto& [height, width] : levels) geometry.add_level(height, width, 8);
  return geometry;
}

std::vector<double> on_levels(const PyramidGeometry& geometry, int64_t in, int64_t out, const std::vector<double>& x,
                              const std::vector<double>& weight, const std::vector<double>& bias, bool relu) {
  std::vector<double> rows;
  for (const PyramidLevel& level : geometry.levels()) {
    const reference::ConvolutionCase at{geometry.images(), level.height, level.width, in, out, 3, 3, 1, 1, 1};
    const auto begin = x.begin() + level.row_begin * in;
    for (double value : reference::conv2d(at, {begin, begin + geometry.images() * level.cells() * in}, weight)) {
      if (!bias.empty()) value += bias[rows.size() % static_cast<size_t>(out)];
      rows.push_back(relu ? std::max(value, 0.0) : value);
    }
  }
  return rows;
}

// Inputs: x (one, or one of each branch), then weight and bias of each branch. Output: the channels of all branches
// side by side, so that random cotangents tell them apart.
void check_branches(size_t count, bool shared, bool relu) {
  constexpr int64_t kIn = 6, kOut = 5;
  const PyramidGeometry geometry = geometry_of(2, {{5, 7}, {2, 3}, {1, 1}});
  const size_t inputs_x = shared ? 1 : count;
  std::vector<OpInput> inputs;
  for (size_t i = 0; i < inputs_x; ++i) inputs.push_back(random_input({geometry.rows(), kIn}, 1 + i));
  for (size_t i = 0; i < count; ++i) {
    inputs.push_back(random_input({kOut, 3, 3, kIn}, 11 + i));
    inputs.push_back(random_input({kOut}, 21 + i));
  }
  const auto x_of = [&](size_t branch) { return shared ? 0 : branch; };
  check_op(
      fmt::format("{} branches, {} x", count, inputs_x), inputs,
      [&](Tape& tape, const std::vector<Variable>& in) {
        std::vector<Conv2dBranch> branches;
        for (size_t i = 0; i < count; ++i) {
          branches.push_back({{in[x_of(i)], geometry}, in[inputs_x + 2 * i], in[inputs_x + 2 * i + 1]});
        }
        std::vector<Variable> rows;
        for (const Pyramid& y : conv2d(tape, branches, {.padding = 1, .relu = relu})) rows.push_back(y.rows);
        return concat_channels(tape, rows);
      },
      [&](const std::vector<std::vector<double>>& in) {
        std::vector<double> all(static_cast<size_t>(geometry.rows() * kOut) * count);
        for (size_t i = 0; i < count; ++i) {
          const std::vector<double> y =
              on_levels(geometry, kIn, kOut, in[x_of(i)], in[inputs_x + 2 * i], in[inputs_x + 2 * i + 1], relu);
          for (size_t at = 0; at < y.size(); ++at) {
            all[(at / kOut * count + i) * kOut + at % kOut] = y[at];
          }
        }
        return all;
      },
      {.forward_absolute = 2e-4, .jacobian_limit = 40});
}

TEST(Conv2dBranches, AgreeWithOracle) {
  for (const size_t count : {2, 3}) {
    for (const bool shared : {true, false}) check_branches(count, shared, count == 3);
  }
}

struct Leaves {
  Variable x, weight[2], bias[2];

  Leaves(Tape& tape, const PyramidGeometry& geometry, const std::vector<bool>& differentiable) {
    auto leaf = [&, at = size_t{0}](const Shape& shape) mutable {
      const OpInput input = random_input(shape, 31 + at);
      const Tensor value =
          Tensor::from_host<float>(tape.context(), shape, std::vector<float>(input.values.begin(), input.values.end()));
      return differentiable[at++] ? tape.input(value) : Variable(value);
    };
    x = leaf({geometry.rows(), 16});
    for (int i = 0; i < 2; ++i) weight[i] = leaf({24, 3, 3, 16}), bias[i] = leaf({24});
  }
  std::vector<Conv2dBranch> branches(const PyramidGeometry& geometry) const {
    return {{{x, geometry}, weight[0], bias[0]}, {{x, geometry}, weight[1], bias[1]}};
  }
};

// Even the sum of the gradients of what the branches share.
TEST(Conv2dBranches, HaveTheGradientsOfSeparateOpsToTheBitOnTheCpu) {
  const PyramidGeometry geometry = geometry_of(2, {{13, 17}, {6, 7}});
  std::vector<std::vector<float>> expected;
  for (const bool together : {false, true}) {
    for (const int threads : {1, 3}) {
      CpuContext context(threads);
      Tape tape(context);
      const Leaves leaves(tape, geometry, std::vector<bool>(5, true));
      std::vector<Variable> rows;
      for (const Conv2dBranch& branch : leaves.branches(geometry)) {
        if (!together) rows.push_back(conv2d(tape, branch.x, branch.weight, branch.bias, {.padding = 1}).rows);
      }
      if (together) {
        for (const Pyramid& y : conv2d(tape, leaves.branches(geometry), {.padding = 1})) rows.push_back(y.rows);
      }
      rows.push_back(scale(tape, leaves.x, 0.3f));  // another user of x, whose gradient comes first
      const Variable output = concat_channels(tape, rows);
      tape.backward(output, output.value);
      std::vector<std::vector<float>> results{output.value.to_host<float>(context)};
      for (const Variable& leaf : {leaves.x, leaves.weight[0], leaves.weight[1], leaves.bias[0], leaves.bias[1]}) {
        results.push_back(tape.gradient(leaf).to_host<float>(context));
      }
      if (expected.empty()) expected = results;
      EXPECT_TRUE(results == expected) << together << " with " << threads << " threads";
    }
  }
}

// A branch of constants is a constant, and nothing of it is kept.
TEST(Conv2dBranches, OfConstantsAreNotRecorded) {
  const PyramidGeometry geometry = geometry_of(1, {{6, 7}});
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Leaves leaves(tape, geometry, {false, true, false, false, false});
    const std::vector<Pyramid> y = conv2d(tape, leaves.branches(geometry), {.padding = 1, .relu = true});
    EXPECT_TRUE(y[0].rows.needs_gradient());
    EXPECT_FALSE(y[1].rows.needs_gradient());
    EXPECT_EQ(tape.saved_bytes(), leaves.x.value.bytes() + y[0].rows.value.bytes());
    tape.backward(y[0].rows, Tensor::zeros(context, y[0].rows.shape()));
    EXPECT_TRUE(tape.gradient(leaves.weight[0]).defined());
  });
}

// A branch that no loss uses gives its weights no gradient.
TEST(Conv2dBranches, ThatNobodyUsesAreSkipped) {
  const PyramidGeometry geometry = geometry_of(1, {{6, 7}});
  for_each_backend([&](Context& context) {
    Tape tape(context);
    const Leaves leaves(tape, geometry, std::vector<bool>(5, true));
    const std::vector<Pyramid> y = conv2d(tape, leaves.branches(geometry), {.padding = 1, .relu = true});
    tape.backward(y[1].rows, y[1].rows.value);
    EXPECT_TRUE(tape.gradient(leaves.x).defined());
    EXPECT_FALSE(tape.gradient(leaves.weight[0]).defined());
    EXPECT_FALSE(tape.gradient(leaves.bias[0]).defined());
    EXPECT_TRUE(tape.gradient(leaves.weight[1]).defined());
  });
}

TEST(Conv2dBranches, OfDifferentShapesAreRefused) {
  PlanContext context;
  Tape tape(context);
  const PyramidGeometry geometry = geometry_of(1, {{6, 7}});
  const auto branch = [&](int64_t in, int64_t out) {
    return Conv2dBranch{
        {Tensor::empty(context, {geometry.rows(), in}), geometry}, Tensor::empty(context, {out, 3, 3, in}), {}};
  };
  const std::vector<Conv2dBranch> equal{branch(4, 8), branch(4, 8)}, narrow{branch(4, 8), branch(4, 6)},
      deep{branch(4, 8), branch(6, 8)};
  EXPECT_EQ(conv2d(tape, equal, {.padding = 1}).size(), 2u);
  EXPECT_THROW(conv2d(tape, narrow, {.padding = 1}), Error);
  EXPECT_THROW(conv2d(tape, deep, {.padding = 1}), Error);
  EXPECT_THROW(conv2d(tape, std::span<const Conv2dBranch>{}, {.padding = 1}), Error);
}

}  // namespace
}  // namespace tessera
