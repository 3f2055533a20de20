// Every version of kernels/lab/conv2d, and the shipped kernel, against the double-precision oracle.
#include "kernels/lab/conv2d/1_definition.h"
#include "kernels/lab/conv2d/2_shared.h"
#include "kernels/lab/conv2d/3_registers.h"
#include "kernels/lab/conv2d/4_vectors.h"
#include "kernels/lab/conv2d/5_tensor_cores.h"
#include "kernels/lab/conv2d/6_pipeline.h"

#if !defined(__CUDACC__)  // nvcc only has to accept the kernels

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "tests/reference/conv2d.h"
#include "tests/reference/rounding.h"

namespace tessera {
namespace {

using reference::ConvolutionCase;
using Values = std::vector<double>;

struct Version {
  std::string name;
  ConvMath math;
  void (*convolve)(DeviceContext&, const Conv2dForwardArgs&);
};

void shipped(DeviceContext& context, const Conv2dForwardArgs& args) { conv2d_forward(context, args); }

const std::vector<Version>& versions() {
  static const std::vector<Version> all{{"1 definition", ConvMath::fp32, conv2d_lab::convolve_by_definition},
                                        {"2 shared", ConvMath::fp32, conv2d_lab::convolve_in_shared_tiles},
                                        {"3 registers", ConvMath::fp32, conv2d_lab::convolve_in_registers},
                                        {"4 vectors", ConvMath::fp32, conv2d_lab::convolve_in_vectors},
                                        {"shipped, fp32", ConvMath::fp32, shipped},
                                        {"5 tensor cores", ConvMath::tf32, conv2d_lab::convolve_on_tensor_cores},
                                        {"6 pipeline", ConvMath::tf32, conv2d_lab::convolve_in_pipeline},
                                        {"shipped, tf32", ConvMath::tf32, shipped},
                                        {"shipped, bf16", ConvMath::bf16, shipped}};
  return all;
}

Values random_values(int64_t count, uint64_t sample) {
  Rng rng(5, RandomPurpose::test, 0, sample);
  Values values(static_cast<size_t>(count));
  for (double& value : values) value = static_cast<float>(rng.normal());
  return values;
}

Values rounded(ConvMath math, const Values& values) {
  if (math == ConvMath::fp32) return values;
  return reference::rounded_to(math == ConvMath::tf32 ? reference::kTf32 : reference::kBfloat16, values);
}

Values magnitudes(Values values) {
  for (double& value : values) value = std::abs(value);
  return values;
}

std::vector<float> narrow(const Values& values) { return {values.begin(), values.end()}; }

// Maps with one window, all that an epilogue adds, or nothing of it. The oracle's operands are rounded as the version
// rounds them; what is left is the rounding of sums: at most terms * 2^-24 * sum of |products| in any order.
void check(const std::vector<ConvolutionCase>& cases, bool with_epilogue) {
  const ConvolutionCase& any = cases.front();
  const Conv2dWindow window{any.in, any.out, any.window_height, any.window_width, any.stride, any.padding, any.groups};
  std::vector<Conv2dMap> maps;
  int64_t in_rows = 0, out_rows = 0;
  for (const ConvolutionCase& at : cases) {
    maps.push_back({at.images, at.height, at.width, at.out_height(), at.out_width(), in_rows, out_rows});
    in_rows += maps.back().in_rows();
    out_rows += maps.back().out_rows();
  }
  const Values x = random_values(in_rows * any.in, 1), weight = random_values(window.weight_elements(), 2);
  const Values scale = random_values(any.out, 3), bias = random_values(any.out, 4);
  const Values residual = random_values(out_rows * any.out, 5);
  const auto convolved = [&](const Values& of_x, const Values& of_weight) {
    Values y;
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto first = of_x.begin() + maps[i].in_row * any.in;
      const Values of_map = reference::conv2d(cases[i], Values(first, first + maps[i].in_rows() * any.in), of_weight);
      y.insert(y.end(), of_map.begin(), of_map.end());
    }
    return y;
  };
  const std::vector<float> on_x = narrow(x), on_weight = narrow(weight), on_scale = narrow(scale),
                           on_bias = narrow(bias), on_residual = narrow(residual);
  const Values products = convolved(magnitudes(x), magnitudes(weight));
  const double bound = static_cast<double>(window.taps() * window.group_in() + 4) * 0x1p-24;
  for (const Version& version : versions()) {
    // bf16 runs in tf32 where a group is narrow (math_of_call).
    const ConvMath math = version.math == ConvMath::bf16 && window.group_in() < 8 ? ConvMath::tf32 : version.math;
    const Values sums = convolved(rounded(math, x), rounded(math, weight));
    std::vector<float> first_bits;
    for (const EmulatorSchedule& schedule : {EmulatorSchedule::forward(), EmulatorSchedule::shuffled()}) {
      EmulatedContext context(schedule);
      std::vector<float> y(sums.size(), NAN);
      version.convolve(context, {window, maps, on_x.data(), on_weight.data(), with_epilogue ? on_scale.data() : nullptr,
                                 with_epilogue ? on_bias.data() : nullptr, with_epilogue ? on_residual.data() : nullptr,
                                 y.data(), with_epilogue, version.math});
      int reported = 0;
      for (size_t i = 0; i < y.size() && reported < 3; ++i) {
        double expected = sums[i], size = products[i];
        if (with_epilogue) {
          const size_t channel = i % scale.size();
          expected = std::max(0.0, sums[i] * scale[channel] + bias[channel] + residual[i]);
          size = products[i] * std::abs(scale[channel]) + std::abs(bias[channel]) + std::abs(residual[i]);
        }
        if (std::abs(y[i] - expected) <= bound * size) continue;
        ADD_FAILURE() << version.name << ": [" << i << "] = " << y[i] << ", expected " << expected;
        ++reported;
      }
      if (first_bits.empty()) first_bits = y;
      EXPECT_EQ(y, first_bits) << version.name << ": the order of threads changes the result";
    }
  }
}

TEST(Conv2dLab, OneProduct) { check({{1, 1, 1, 1, 1, 1, 1, 1, 0, 1}}, false); }

// Rows and columns around the tiles of 16, 64 and 128, a depth of many steps and one that ends inside a step.
TEST(Conv2dLab, TilesThatHangOver) {
  check({{2, 9, 8, 12, 68, 3, 3, 1, 1, 1}}, true);
  check({{1, 1, 129, 16, 65, 1, 1, 1, 0, 1}}, false);
  check({{1, 8, 8, 20, 64, 1, 1, 1, 0, 1}}, true);
}

// Channels that cannot be fetched in fours; the stem of three channels.
TEST(Conv2dLab, ChannelsOneByOne) {
  check({{1, 11, 10, 3, 17, 7, 7, 2, 3, 1}}, true);
  check({{1, 5, 6, 9, 5, 3, 3, 1, 1, 1}}, false);
}

TEST(Conv2dLab, Groups) {
  check({{1, 7, 6, 16, 24, 3, 3, 1, 1, 4}}, true);
  check({{1, 4, 5, 6, 6, 3, 3, 1, 1, 6}}, false);
}

// A stride, a window beyond a small map, and an empty map between others.
TEST(Conv2dLab, MapsOfAPyramid) {
  check({{2, 7, 9, 8, 12, 3, 3, 2, 1, 1}, {2, 0, 5, 8, 12, 3, 3, 2, 1, 1}, {2, 1, 2, 8, 12, 3, 3, 2, 1, 1}}, true);
}

}  // namespace
}  // namespace tessera

#endif
