// The device kernels of the convolution: every tile and precision, splits of the depth, many maps in a call. The oracle
// works on operands rounded as the kernel rounds them, so what is left is the rounding of sums; its bound holds for any
// order of summation: terms * 2^-24 * sum of |products|.
#include <gtest/gtest.h>

#include "engine/core/dispatch.h"
#include "kernels/conv2d.h"
#include "kernels/conv2d_choice.h"
#include "tests/ops/conv2d_problem.h"
#include "tests/reference/rounding.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr ConvMath kAllMath[] = {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16, ConvMath::fp16,
                                 ConvMath::fp16_accumulate_chunked};

// Calls run(context of the device).
template <typename Run>
void on_device(Context& context, Run&& run) {
  dispatch(context, [&](auto& backend) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(backend)>, CpuContext>) run(backend);
  });
}

const char* name_of(ConvMath math) {
  constexpr const char* kNames[] = {"fp32", "tf32", "bf16", "fp16", "fp16 chunked"};
  return kNames[static_cast<int>(math)];
}

void check_gather(const Problem& problem, std::span<const ConvTile> tiles, std::span<const int> splits,
                  std::span<const ConvMath> all_math) {
  const Operands operands(problem);
  const Conv2dWindow window = problem.window();
  const std::vector<Conv2dMap> maps = problem.maps();
  const Values y_size = problem.forward(magnitudes(operands.x), magnitudes(operands.weight));
  const Values dx_size = problem.data_gradient(magnitudes(operands.dy), magnitudes(operands.weight));
  for (const ConvMath math : all_math) {
    const ConvMath of_y = math_of_call(math, window.group_in()), of_dx = math_of_call(math, window.group_out());
    const Values y = problem.forward(rounded(of_y, operands.x), rounded(of_y, operands.weight));
    const Values dx = problem.data_gradient(rounded(of_dx, operands.dy), rounded(of_dx, operands.weight));
    for_each_backend([&](Context& context) {
      if (context.backend() == Backend::cpu) return;
      const Tensor on_x = upload(context, operands.x), on_dy = upload(context, operands.dy),
                   on_weight = upload(context, operands.weight);
      for (const ConvTile tile : tiles) {
        for (const int split : splits) {
          const std::string where = fmt::format("{} tile {} splits {}", name_of(math), static_cast<int>(tile), split);
          Tensor to_y = Tensor::empty(context, {problem.out_size()}),
                 to_dx = Tensor::empty(context, {problem.in_size()});
          on_device(context, [&](auto& device) {
            conv2d_forward(device,
                           Conv2dForwardArgs{window, maps, on_x.data<float>(), on_weight.data<float>(), nullptr,
                                             nullptr, nullptr, to_y.data<float>(), false, math},
                           ConvChoice{tile, split});
            conv2d_backward_data(device,
                                 Conv2dBackwardDataArgs{window, maps, on_dy.data<float>(), on_weight.data<float>(),
                                                        nullptr, to_dx.data<float>(), math},
                                 ConvChoice{tile, split});
          });
          expect_near("forward " + where, to_y.to_host<float>(context), y, y_size,
                      bound_of(of_y, window.taps() * window.group_in()));
          expect_near("data gradient " + where, to_dx.to_host<float>(context), dx, dx_size,
                      bound_of(of_dx, window.taps() * window.group_out()));
        }
      }
    });
  }
}

void check_weight(const Problem& problem, std::span<const ConvTile> tiles, std::span<const int> splits,
                  std::span<const ConvMath> all_math) {
  const Operands operands(problem);
  const std::vector<Conv2dMap> maps = problem.maps();
  const Values size = problem.weight_gradient(magnitudes(operands.x), magnitudes(operands.dy));
  const int64_t terms = problem.out_size() / problem.any().out;
  for (const ConvMath math : all_math) {
    if (math == ConvMath::fp16_accumulate_chunked) continue;  // is fp16 here
    const ConvMath used = math_of_call(math, problem.window().group_in());
    const Values dweight = problem.weight_gradient(rounded(used, operands.x), rounded(used, operands.dy));
    for_each_backend([&](Context& context) {
      if (context.backend() == Backend::cpu) return;
      const Tensor on_x = upload(context, operands.x), on_dy = upload(context, operands.dy);
      for (const ConvTile tile : tiles) {
        for (const int split : splits) {
          Tensor to = Tensor::empty(context, {problem.window().weight_elements()});
          on_device(context, [&](auto& device) {
            conv2d_backward_weight(device,
                                   Conv2dBackwardWeightArgs{problem.window(), maps, on_x.data<float>(),
                                                            on_dy.data<float>(), nullptr, to.data<float>(), math},
                                   ConvChoice{tile, split});
          });
          expect_near(fmt::format("weight gradient {} tile {} splits {}", name_of(math), static_cast<int>(tile), split),
                      to.to_host<float>(context), dweight, size, bound_of(math, terms));
        }
      }
    });
  }
}

constexpr ConvTile kGatherTiles[] = {ConvTile::m128n128, ConvTile::m128n64, ConvTile::m64n64, ConvTile::m128n16};
constexpr ConvTile kWeightTiles[] = {ConvTile::m128n128, ConvTile::m64n64, ConvTile::m16n64};
constexpr int kSplits[] = {1, 3};

// Rows beyond a tile, fewer than a tile, channels in fours and not, strides, groups, windows that hang over the map.
const Problem kProblems[] = {
    {{{1, 11, 13, 12, 20, 3, 3, 1, 1, 1}}},  {{{2, 5, 6, 3, 10, 7, 7, 2, 3, 1}}}, {{{1, 9, 8, 32, 40, 3, 3, 2, 1, 4}}},
    {{{1, 10, 13, 36, 132, 1, 1, 1, 0, 1}}}, {{{1, 4, 3, 10, 6, 1, 1, 2, 0, 1}}},
};

// Small enough for the race checker, which runs no other of these.
TEST(Conv2dDevice, SmallMapInEveryTileAndPrecision) {
  const Problem problem{{{2, 4, 5, 12, 20, 3, 3, 2, 1, 1}}};
  check_gather(problem, kGatherTiles, kSplits, kAllMath);
  check_weight(problem, kWeightTiles, kSplits, kAllMath);
}

// A choice may name the tile of another pass.
TEST(Conv2dDevice, TilesThatAPassDoesNotHave) {
  constexpr ConvTile kOfWeights[] = {ConvTile::m16n64}, kOfGather[] = {ConvTile::m128n64, ConvTile::m128n16};
  constexpr ConvMath kMath[] = {ConvMath::fp32, ConvMath::fp16};
  const Problem problem{{{1, 10, 13, 36, 132, 1, 1, 1, 0, 1}}};
  check_gather(problem, kOfWeights, kSplits, kMath);
  check_weight(problem, kOfGather, kSplits, kMath);
}

TEST(Conv2dDevice, EveryTileAndPrecisionAgreesWithOracle) {
  for (const Problem& problem : kProblems) check_gather(problem, kGatherTiles, kSplits, kAllMath);
}

TEST(Conv2dDevice, EveryTileAndPrecisionOfTheWeightGradientAgreesWithOracle) {
  for (const Problem& problem : kProblems) check_weight(problem, kWeightTiles, kSplits, kAllMath);
}

// More maps and phases than one launch has room for, some of them empty.
TEST(Conv2dDevice, ManyMapsInOneCall) {
  constexpr ConvTile kTile[] = {ConvTile::m64n64};
  constexpr ConvMath kMath[] = {ConvMath::fp32, ConvMath::tf32, ConvMath::fp16};
  for (const int64_t stride : {1, 3}) {
    Problem problem;
    for (int64_t i = 0; i < 19; ++i) problem.cases.push_back({1 + i % 2, i % 7, 2 + i % 5, 9, 8, 3, 3, stride, 1, 1});
    check_gather(problem, kTile, kSplits, kMath);
    check_weight(problem, kTile, kSplits, kMath);
  }
}

TEST(Conv2dDevice, ScaledGradientsOfSplits) {
  const Problem problem{{{1, 6, 7, 8, 12, 3, 3, 2, 1, 2}}};
  const Operands operands(problem);
  const std::vector<Conv2dMap> maps = problem.maps();
  const Values scale = random_input({problem.any().out}, 4).values;
  Values scaled = operands.dy;
  for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= scale[i % scale.size()];
  const Values dx = problem.data_gradient(scaled, operands.weight),
               dweight = problem.weight_gradient(operands.x, scaled);
  const Values dx_size = problem.data_gradient(magnitudes(scaled), magnitudes(operands.weight));
  const Values dweight_size = problem.weight_gradient(magnitudes(operands.x), magnitudes(scaled));
  for_each_backend([&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    const Tensor x = upload(context, operands.x), dy = upload(context, operands.dy),
                 weight = upload(context, operands.weight), factor = upload(context, scale);
    for (const int splits : kSplits) {
      Tensor to_dx = Tensor::empty(context, {problem.in_size()});
      Tensor to_dweight = Tensor::empty(context, {problem.window().weight_elements()});
      on_device(context, [&](auto& device) {
        conv2d_backward_data(device,
                             Conv2dBackwardDataArgs{problem.window(), maps, dy.data<float>(), weight.data<float>(),
                                                    factor.data<float>(), to_dx.data<float>()},
                             ConvChoice{ConvTile::m64n64, splits});
        conv2d_backward_weight(device,
                               Conv2dBackwardWeightArgs{problem.window(), maps, x.data<float>(), dy.data<float>(),
                                                        factor.data<float>(), to_dweight.data<float>()},
                               ConvChoice{ConvTile::m64n64, splits});
      });
      expect_near("dx", to_dx.to_host<float>(context), dx, dx_size, bound_of(ConvMath::fp32, 54));
      expect_near("dweight", to_dweight.to_host<float>(context), dweight, dweight_size, bound_of(ConvMath::fp32, 42));
    }
  });
}

// The levels of a pyramid with all that a layer adds, whole and in splits.
TEST(Conv2dDevice, EpilogueInEveryPrecision) {
  const Problem problem{
      {{2, 9, 7, 24, 20, 3, 3, 1, 1, 1}, {2, 5, 4, 24, 20, 3, 3, 1, 1, 1}, {2, 1, 2, 24, 20, 3, 3, 1, 1, 1}}};
  const Operands operands(problem);
  const std::vector<Conv2dMap> maps = problem.maps();
  const Values scale = random_input({20}, 4).values, bias = random_input({20}, 5).values;
  const Values residual = random_input({problem.out_size()}, 6).values;
  for (const ConvMath math : kAllMath) {
    const Values sums = problem.forward(rounded(math, operands.x), rounded(math, operands.weight));
    Values size = problem.forward(magnitudes(operands.x), magnitudes(operands.weight)), y = sums;
    for (size_t i = 0; i < y.size(); ++i) {
      y[i] = std::max(0.0, sums[i] * scale[i % 20] + bias[i % 20] + residual[i]);
      size[i] = size[i] * std::abs(scale[i % 20]) + std::abs(bias[i % 20]) + std::abs(residual[i]);
    }
    for_each_backend([&](Context& context) {
      if (context.backend() == Backend::cpu) return;
      const Tensor on_x = upload(context, operands.x), on_weight = upload(context, operands.weight),
                   on_scale = upload(context, scale), on_bias = upload(context, bias),
                   on_residual = upload(context, residual);
      for (const int splits : kSplits) {
        Tensor to = Tensor::empty(context, {problem.out_size()});
        on_device(context, [&](auto& device) {
          conv2d_forward(device,
                         Conv2dForwardArgs{problem.window(), maps, on_x.data<float>(), on_weight.data<float>(),
                                           on_scale.data<float>(), on_bias.data<float>(), on_residual.data<float>(),
                                           to.data<float>(), true, math},
                         ConvChoice{ConvTile::m64n64, splits});
        });
        expect_near(fmt::format("{} splits {}", name_of(math), splits), to.to_host<float>(context), y, size,
                    bound_of(math, 9 * 24 + 3));
      }
    });
  }
}

double greatest_difference(const Values& a, const Values& b) {
  double greatest = 0;
  for (size_t i = 0; i < a.size(); ++i) greatest = std::max(greatest, std::abs(a[i] - b[i]));
  return greatest;
}

// At most twice the error of the plain way, which rounds the operands and nothing else; against operands as they are.
// By the default choice of tile, all passes.
TEST(Conv2dDevice, ErrorIsThatOfRoundedOperands) {
  const Problem problem{{{1, 12, 13, 64, 40, 3, 3, 2, 1, 1}, {1, 5, 5, 64, 40, 3, 3, 2, 1, 1}}};
  const Operands operands(problem);
  const std::vector<Conv2dMap> maps = problem.maps();
  const Values y = problem.forward(operands.x, operands.weight);
  const Values dx = problem.data_gradient(operands.dy, operands.weight);
  const Values dweight = problem.weight_gradient(operands.x, operands.dy);
  for (const ConvMath math : kAllMath) {
    if (math == ConvMath::fp32 || math == ConvMath::fp16_accumulate_chunked) continue;
    const Values x = rounded(math, operands.x), dy = rounded(math, operands.dy),
                 weight = rounded(math, operands.weight);
    for_each_backend([&](Context& context) {
      if (context.backend() == Backend::cpu) return;
      const Tensor on_x = upload(context, operands.x), on_dy = upload(context, operands.dy),
                   on_weight = upload(context, operands.weight);
      Tensor to_y = Tensor::empty(context, {problem.out_size()}), to_dx = Tensor::empty(context, {problem.in_size()}),
             to_dweight = Tensor::empty(context, {problem.window().weight_elements()});
      on_device(context, [&](auto& device) {
        conv2d_forward(device, Conv2dForwardArgs{problem.window(), maps, on_x.data<float>(), on_weight.data<float>(),
                                                 nullptr, nullptr, nullptr, to_y.data<float>(), false, math});
        conv2d_backward_data(
            device, Conv2dBackwardDataArgs{problem.window(), maps, on_dy.data<float>(), on_weight.data<float>(),
                                           nullptr, to_dx.data<float>(), math});
        conv2d_backward_weight(
            device, Conv2dBackwardWeightArgs{problem.window(), maps, on_x.data<float>(), on_dy.data<float>(), nullptr,
                                             to_dweight.data<float>(), math});
      });
      const auto check = [&](const char* pass, const Tensor& computed, const Values& exact, const Values& plain) {
        const std::vector<float> host = computed.to_host<float>(context);
        EXPECT_LE(greatest_difference(Values(host.begin(), host.end()), exact), 2 * greatest_difference(plain, exact))
            << pass << " " << name_of(math);
      };
      check("forward", to_y, y, problem.forward(x, weight));
      check("data gradient", to_dx, dx, problem.data_gradient(dy, weight));
      check("weight gradient", to_dweight, dweight, problem.weight_gradient(x, dy));
    });
  }
}

// The plain way of sums in half: one product after the other, 32 of them before they join a sum that is not rounded.
TEST(Conv2dDevice, ErrorOfHalfSumsIsThatOfPlainOnes) {
  constexpr int64_t kRows = 40, kIn = 160, kOut = 24;
  const Problem problem{{{1, 5, 8, kIn, kOut, 1, 1, 1, 0, 1}}};
  const Operands operands(problem);
  const std::vector<Conv2dMap> maps = problem.maps();
  const Values exact = problem.forward(operands.x, operands.weight);
  const Values x = rounded(ConvMath::fp16, operands.x), weight = rounded(ConvMath::fp16, operands.weight);
  Values plain(exact.size());
  for (int64_t i = 0; i < kRows * kOut; ++i) {
    double chunk = 0;
    for (int64_t c = 0; c < kIn; ++c) {
      const auto at_x = static_cast<size_t>(i / kOut * kIn + c), at_weight = static_cast<size_t>(i % kOut * kIn + c);
      chunk = reference::rounded_to(reference::kHalf, chunk + x[at_x] * weight[at_weight]);
      if (c % 32 != 31 && c + 1 != kIn) continue;
      plain[static_cast<size_t>(i)] += chunk;
      chunk = 0;
    }
  }
  for_each_backend([&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    const Tensor on_x = upload(context, operands.x), on_weight = upload(context, operands.weight);
    Tensor to = Tensor::empty(context, {problem.out_size()});
    on_device(context, [&](auto& device) {
      conv2d_forward(device,
                     Conv2dForwardArgs{problem.window(), maps, on_x.data<float>(), on_weight.data<float>(), nullptr,
                                       nullptr, nullptr, to.data<float>(), false, ConvMath::fp16_accumulate_chunked});
    });
    const std::vector<float> host = to.to_host<float>(context);
    EXPECT_LE(greatest_difference(Values(host.begin(), host.end()), exact), 2 * greatest_difference(plain, exact));
  });
}

TEST(Conv2dDevice, FewChannelsRunInTf32) {
  EXPECT_EQ(math_of_call(ConvMath::bf16, 3), ConvMath::tf32);
  EXPECT_EQ(math_of_call(ConvMath::fp16_accumulate_chunked, 7), ConvMath::tf32);
  EXPECT_EQ(math_of_call(ConvMath::fp16, 8), ConvMath::fp16);
  EXPECT_EQ(math_of_call(ConvMath::fp32, 3), ConvMath::fp32);
}

// Many more rows than a chunk, channels around the width of a block.
TEST(Conv2dDevice, ChannelSumsOfAnyShape) {
  for (const auto& [rows, channels] :
       {std::pair<int64_t, int64_t>{0, 5}, {1, 1}, {9000, 1}, {700, 3}, {300, 33}, {5, 70}}) {
    const Values dy = random_input({rows * channels}, 1).values;
    Values expected(static_cast<size_t>(channels)), size(expected);
    for (size_t i = 0; i < dy.size(); ++i) {
      expected[i % expected.size()] += dy[i];
      size[i % size.size()] += std::abs(dy[i]);
    }
    for_each_backend([&](Context& context) {
      const Tensor on_dy = upload(context, dy);
      Tensor sum = Tensor::empty(context, {channels});
      dispatch(context, [&](auto& backend) {
        channel_sum(backend, ChannelSumArgs{on_dy.data<float>(), sum.data<float>(), rows, channels});
      });
      expect_near(fmt::format("{} x {}", rows, channels), sum.to_host<float>(context), expected, size,
                  bound_of(ConvMath::fp32, rows));
    });
  }
}

// A tuner is asked for every call that brings no choice of its own, in terms of the operands as they are stored.
TEST(Conv2dDevice, TunerChooses) {
  struct Recorder final : ConvTuner {
    struct Call {
      ConvPass pass;
      ConvMath math;
      int64_t columns, depth, taps;
      bool epilogue;
      bool operator==(const Call&) const = default;
    };
    std::vector<Call> calls;
    ConvChoice choose(const ConvWork& work, const std::function<double(const ConvChoice&)>&) override {
      EXPECT_EQ(work.window.in_channels, 12);
      EXPECT_EQ(work.maps.size(), 1u);
      calls.push_back({work.pass, work.math, work.columns, work.depth, work.taps, work.epilogue});
      return {ConvTile::m64n64, 2};
    }
  };
  const Problem problem{{{1, 6, 7, 12, 20, 3, 3, 1, 1, 1}}};
  const Operands operands(problem);
  const std::vector<Conv2dMap> maps = problem.maps();
  for_each_backend([&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    const Tensor x = upload(context, operands.x), dy = upload(context, operands.dy),
                 weight = upload(context, operands.weight);
    Tensor to_y = Tensor::empty(context, {problem.out_size()});
    Tensor to_dweight = Tensor::empty(context, {problem.window().weight_elements()});
    Tensor to_dx = Tensor::empty(context, x.shape());
    const Tensor scale = Tensor::zeros(context, {20});
    const auto recorder = std::make_shared<Recorder>();
    context.set_convolutions({.tuner = recorder});
    on_device(context, [&](auto& device) {
      conv2d_forward(device, Conv2dForwardArgs{problem.window(), maps, x.data<float>(), weight.data<float>(), nullptr,
                                               nullptr, nullptr, to_y.data<float>(), false});
      conv2d_backward_data(device,
                           Conv2dBackwardDataArgs{problem.window(), maps, dy.data<float>(), weight.data<float>(),
                                                  scale.data<float>(), to_dx.data<float>()});
      conv2d_backward_weight(device, Conv2dBackwardWeightArgs{problem.window(), maps, x.data<float>(), dy.data<float>(),
                                                              nullptr, to_dweight.data<float>(), ConvMath::bf16});
    });
    context.set_convolutions({});
    EXPECT_EQ(recorder->calls, (std::vector<Recorder::Call>{{ConvPass::forward, ConvMath::fp32, 20, 108, 9, false},
                                                            {ConvPass::data, ConvMath::fp32, 12, 180, 9, true},
                                                            {ConvPass::weight, ConvMath::bf16, 144, 42, 9, false}}));
    expect_near("y", to_y.to_host<float>(context), problem.forward(operands.x, operands.weight),
                problem.forward(magnitudes(operands.x), magnitudes(operands.weight)), bound_of(ConvMath::fp32, 108));
  });
}

TEST(Conv2dDevice, ChoiceFitsTheShape) {
  const auto choice = [](ConvPass pass, std::vector<int64_t> rows, int64_t columns, int64_t groups, int64_t depth) {
    return choose_conv({pass, ConvMath::tf32, rows, columns, groups, depth});
  };
  // A tower layer over five levels, a layer of four channels, one small map with a long depth.
  EXPECT_EQ(choice(ConvPass::forward, {16800, 4200, 1050, 273, 77}, 256, 1, 2304).splits, 1);
  EXPECT_EQ(choice(ConvPass::forward, {16800}, 4, 32, 36).tile, ConvTile::m128n16);
  EXPECT_GT(choice(ConvPass::forward, {77}, 64, 1, 4608).splits, 1);
  EXPECT_EQ(choice(ConvPass::weight, {4}, 36, 32, 67200).tile, ConvTile::m16n64);
  EXPECT_GT(choice(ConvPass::weight, {256}, 2304, 1, 16800).splits, 1);
}

}  // namespace
}  // namespace tessera
