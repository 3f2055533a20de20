#include "kernels/cpu/winograd.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/core/rng.h"
#include "kernels/conv2d.h"
#include "kernels/cpu/direct_conv2d.h"
#include "tests/reference/conv2d.h"

namespace tessera {
namespace {

using reference::ConvolutionCase;

std::vector<float> normal_values(int64_t count, uint64_t sample, float deviation = 1) {
  std::vector<float> values(static_cast<size_t>(count));
  Rng rng(3, RandomPurpose::test, 0, sample);
  for (float& value : values) value = deviation * rng.normal();
  return values;
}

std::vector<double> widen(const std::vector<float>& values) { return {values.begin(), values.end()}; }

ConvolutionCase map_case(int64_t images, int64_t height, int64_t width, int64_t in, int64_t out, int64_t padding) {
  return {images, height, width, in, out, 3, 3, 1, padding, 1};
}

std::string describe(const ConvolutionCase& at) {
  return fmt::format("{}x{}x{} {}->{} padding {}", at.images, at.height, at.width, at.in, at.out, at.padding);
}

WinogradMap winograd_map(const ConvolutionCase& at, int64_t source_row = 0, int64_t dest_row = 0) {
  return {at.images, at.height, at.width, source_row, at.out_height(), at.out_width(), dest_row};
}

// OHWI weights as the forward pass reads them.
WinogradWeights forward_weights(const std::vector<float>& weight, int64_t in) {
  return {weight.data(), 9 * in, in, 1, false};
}

// For data without correlation the variance of a rounding error in the transformed elements reaches an output in the
// corner of a tile multiplied by (sum_i A_yi^2 |B_i|^2 |G_i|^2 / 3)^2 = 7.1^2, i over the six points; an element's sum
// carries about 4 units of 6e-8 (two transforms, chains of 32 products); outputs have the size sqrt(9 in). Six standard
// deviations.
double tolerance_of(int64_t in) { return 6 * 7.1 * 4 * 6e-8 * std::sqrt(9.0 * static_cast<double>(in)); }

void expect_near(const std::vector<float>& computed, const std::vector<double>& expected, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(computed.size(), expected.size()) << what;
  double worst = 0;
  for (size_t i = 0; i < computed.size(); ++i) worst = std::max(worst, std::fabs(computed[i] - expected[i]));
  EXPECT_LE(worst, tolerance) << what;
}

const ConvolutionCase kCases[] = {
    map_case(1, 4, 4, 8, 8, 1),   map_case(2, 5, 7, 3, 5, 1),    map_case(1, 1, 1, 1, 1, 1),
    map_case(1, 9, 6, 16, 24, 0), map_case(1, 3, 3, 20, 40, 0),  map_case(2, 6, 5, 17, 33, 2),
    map_case(1, 1, 1, 4, 4, 2),   map_case(3, 8, 12, 32, 70, 1), map_case(1, 2, 90, 9, 80, 1),
    map_case(1, 6, 4, 300, 9, 1), map_case(1, 41, 45, 33, 7, 1), map_case(1, 4, 7, 600, 130, 1),
};

TEST(Winograd, AgreesWithOracle) {
  CpuContext context(2);
  for (const ConvolutionCase& at : kCases) {
    const auto x = normal_values(at.images * at.height * at.width * at.in, 1);
    const auto weight = normal_values(at.out * 9 * at.in, 2);
    std::vector<float> y(static_cast<size_t>(at.images * at.out_height() * at.out_width() * at.out), NAN);
    run_winograd(context, {at.in, at.out, at.padding, {winograd_map(at)}, x.data(), y.data()},
                 forward_weights(weight, at.in));
    expect_near(y, reference::conv2d(at, widen(x), widen(weight)), tolerance_of(at.in), describe(at));
  }
}

// Bias, factors on either side, residual and ReLU; weights turned over as the data gradient reads them.
TEST(Winograd, EpilogueAndTransposedWeightsAgreeWithOracle) {
  CpuContext context(2);
  const ConvolutionCase at = map_case(2, 7, 9, 13, 21, 1);
  const auto x = normal_values(at.images * at.height * at.width * at.in, 1),
             stored = normal_values(at.in * 9 * at.out, 2);
  const auto bias = normal_values(at.out, 3), dest_scale = normal_values(at.out, 4),
             source_scale = normal_values(at.in, 5);
  const auto residual = normal_values(at.images * at.height * at.width * at.out, 6);
  // stored [in][tap][out], taps from the last to the first.
  std::vector<double> weight;
  for (int64_t o = 0; o < at.out; ++o) {
    for (int64_t tap = 0; tap < 9; ++tap) {
      for (int64_t c = 0; c < at.in; ++c) {
        weight.push_back(double{stored[static_cast<size_t>((c * 9 + 8 - tap) * at.out + o)]} *
                         dest_scale[static_cast<size_t>(o)] * source_scale[static_cast<size_t>(c)]);
      }
    }
  }
  std::vector<double> expected = reference::conv2d(at, widen(x), weight);
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = std::max(0.0, expected[i] + bias[i % static_cast<size_t>(at.out)] + residual[i]);
  }
  std::vector<float> y(expected.size(), NAN);
  run_winograd(context,
               {at.in, at.out, at.padding, {winograd_map(at)}, x.data(), y.data(), bias.data(), residual.data(), true},
               {stored.data(), 1, at.out, 9 * at.out, true, dest_scale.data(), source_scale.data()});
  expect_near(y, expected, 4 * tolerance_of(at.in), describe(at));
}

TEST(Winograd, SeveralMapsEqualTheirOwnCallsForAnyNumberOfThreads) {
  const int64_t in = 19, out = 37;
  const std::vector<ConvolutionCase> cases{map_case(2, 33, 50, in, out, 1), map_case(2, 9, 11, in, out, 1),
                                           map_case(2, 1, 2, in, out, 1), map_case(0, 3, 4, in, out, 1)};
  const auto weight = normal_values(out * 9 * in, 2);
  std::vector<WinogradMap> maps;
  int64_t rows = 0;
  for (const ConvolutionCase& at : cases) {
    maps.push_back(winograd_map(at, rows, rows));
    rows += at.images * at.height * at.width;
  }
  const auto x = normal_values(rows * in, 1);
  CpuContext single(1);
  std::vector<float> expected;
  for (size_t i = 0; i < cases.size(); ++i) {
    std::vector<float> y(static_cast<size_t>(cases[i].images * cases[i].height * cases[i].width * out));
    run_winograd(single, {in, out, 1, {winograd_map(cases[i])}, x.data() + maps[i].source_row * in, y.data()},
                 forward_weights(weight, in));
    expected.insert(expected.end(), y.begin(), y.end());
  }
  for (const int threads : {1, 2, 3, 5, 64}) {
    CpuContext context(threads);
    std::vector<float> y(expected.size());
    run_winograd(context, {in, out, 1, maps, x.data(), y.data()}, forward_weights(weight, in));
    EXPECT_EQ(y, expected) << threads;
  }
}

WinogradGradient gradient_of(const ConvolutionCase& at, const std::vector<float>& x, const std::vector<float>& dy,
                             std::vector<float>& dweight) {
  dweight.assign(static_cast<size_t>(at.out * 9 * at.in), NAN);
  return {at.in, at.out, at.padding, {winograd_map(at)}, x.data(), dy.data(), nullptr, dweight.data()};
}

// dweight[o][v][u][c] = sum of dy[n][y][x][o] x[n][y + v - padding][x + u - padding][c].
std::vector<double> reference_gradient(const ConvolutionCase& at, const std::vector<float>& x,
                                       const std::vector<float>& dy) {
  std::vector<double> dweight(static_cast<size_t>(at.out * 9 * at.in));
  for (int64_t n = 0; n < at.images; ++n) {
    for (int64_t oy = 0; oy < at.out_height(); ++oy) {
      for (int64_t ox = 0; ox < at.out_width(); ++ox) {
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t iy = oy + tap / 3 - at.padding, ix = ox + tap % 3 - at.padding;
          if (iy < 0 || iy >= at.height || ix < 0 || ix >= at.width) continue;
          const float* from = &x[static_cast<size_t>(((n * at.height + iy) * at.width + ix) * at.in)];
          const float* gradient = &dy[static_cast<size_t>(((n * at.out_height() + oy) * at.out_width() + ox) * at.out)];
          for (int64_t o = 0; o < at.out; ++o) {
            double* to = &dweight[static_cast<size_t>((o * 9 + tap) * at.in)];
            for (int64_t c = 0; c < at.in; ++c) to[c] += double{gradient[o]} * from[c];
          }
        }
      }
    }
  }
  return dweight;
}

TEST(Winograd, WeightGradientAgreesWithOracle) {
  CpuContext context(2);
  for (const ConvolutionCase& at : kCases) {
    const int64_t cells = at.images * at.out_height() * at.out_width();
    const auto x = normal_values(at.images * at.height * at.width * at.in, 1), dy = normal_values(cells * at.out, 2);
    std::vector<float> dweight;
    run_winograd(context, gradient_of(at, x, dy, dweight));
    // As for the product with tiles instead of channels; the transposed transforms have the same norms.
    const double tolerance = 6 * 7.1 * 4 * 6e-8 * std::sqrt(static_cast<double>(std::max<int64_t>(16, cells)));
    expect_near(dweight, reference_gradient(at, x, dy), tolerance, describe(at));
  }
}

TEST(Winograd, WeightGradientOfSeveralMapsIsTheirScaledSumForAnyNumberOfThreads) {
  const int64_t in = 19, out = 37;
  const std::vector<ConvolutionCase> cases{map_case(2, 33, 50, in, out, 1), map_case(1, 5, 3, in, out, 1),
                                           map_case(0, 3, 4, in, out, 1)};
  WinogradGradient gradient{in, out, 1, {}, nullptr, nullptr, nullptr, nullptr};
  int64_t rows = 0;
  for (const ConvolutionCase& at : cases) {
    gradient.maps.push_back(winograd_map(at, rows, rows));
    rows += at.images * at.height * at.width;
  }
  const auto x = normal_values(rows * in, 1), dy = normal_values(rows * out, 2), scale = normal_values(out, 3);
  gradient.source = x.data();
  gradient.dest_gradient = dy.data();
  gradient.scale = scale.data();
  const int64_t first = gradient.maps[1].source_row;
  std::vector<double> expected =
      reference_gradient(cases[0], {x.begin(), x.begin() + first * in}, {dy.begin(), dy.begin() + first * out});
  const std::vector<double> second =
      reference_gradient(cases[1], {x.begin() + first * in, x.end()}, {dy.begin() + first * out, dy.end()});
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = (expected[i] + second[i]) * scale[i / static_cast<size_t>(9 * in)];
  }
  std::vector<float> single;
  for (const int threads : {1, 2, 3, 5}) {
    CpuContext context(threads);
    std::vector<float> dweight(expected.size(), NAN);
    gradient.dweight = dweight.data();
    run_winograd(context, gradient);
    if (threads == 1) single = dweight;
    EXPECT_EQ(dweight, single) << threads;
  }
  // Factors are below 4.
  expect_near(single, expected, 4 * 6 * 7.1 * 4 * 6e-8 * std::sqrt(static_cast<double>(rows)), "two maps");
}

TEST(Winograd, WeightGradientOfNothingIsZero) {
  CpuContext context(2);
  std::vector<float> dweight;
  run_winograd(context, gradient_of(map_case(0, 4, 5, 3, 6, 1), {}, {}, dweight));
  EXPECT_EQ(dweight, std::vector<float>(3 * 6 * 9, 0.0f));
}

WinogradProduct shape_of(int64_t images, int64_t height, int64_t width, int64_t in, int64_t out) {
  return {in, out, 1, {winograd_map(map_case(images, height, width, in, out, 1))}, nullptr, nullptr};
}

TEST(Winograd, PaysOnLargeMapsOnly) {
  EXPECT_TRUE(winograd_pays(shape_of(1, 100, 168, 256, 256)));
  EXPECT_TRUE(winograd_pays(shape_of(1, 100, 168, 256, 1)));
  EXPECT_TRUE(winograd_pays(shape_of(8, 8, 8, 64, 64)));
  EXPECT_FALSE(winograd_pays(shape_of(1, 7, 11, 256, 256)));
  EXPECT_FALSE(winograd_pays(shape_of(8, 5, 5, 64, 64)));
  EXPECT_FALSE(winograd_pays(shape_of(1, 100, 168, 3, 64)));
  EXPECT_FALSE(winograd_pays(shape_of(0, 100, 168, 256, 256)));
}

double root_mean_square(const std::vector<float>& computed, const std::vector<double>& expected, double& largest) {
  double sum = 0;
  for (size_t i = 0; i < computed.size(); ++i) {
    const double difference = computed[i] - expected[i];
    sum += difference * difference;
    largest = std::max(largest, std::fabs(difference));
  }
  return std::sqrt(sum / static_cast<double>(computed.size()));
}

// Activations after a ReLU, weights as networks are initialised: the promise of winograd.h.
TEST(Winograd, RoundsAtMostFourTimesAsMuchAsDirectConvolution) {
  CpuContext context(2);
  for (const int64_t channels : {32, 64, 256, 512}) {
    const ConvolutionCase at = map_case(1, 16, 16, channels, 32, 1);
    auto x = normal_values(at.height * at.width * at.in, 1);
    for (float& value : x) value = std::max(0.0f, value);
    const auto weight = normal_values(at.out * 9 * at.in, 2, std::sqrt(2.0f / (9.0f * static_cast<float>(channels))));
    const auto expected = reference::conv2d(at, widen(x), widen(weight));
    std::vector<float> direct(expected.size()), fast(expected.size());
    const Conv2dMap map{1, at.height, at.width, at.height, at.width, 0, 0};
    direct_conv2d_forward(context, {{at.in, at.out, 3, 3, 1, 1, 1},
                                    {&map, 1},
                                    x.data(),
                                    weight.data(),
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    direct.data(),
                                    false});
    run_winograd(context, {at.in, at.out, 1, {winograd_map(at)}, x.data(), fast.data()},
                 forward_weights(weight, at.in));
    double direct_largest = 0, fast_largest = 0;
    const double direct_error = root_mean_square(direct, expected, direct_largest);
    const double fast_error = root_mean_square(fast, expected, fast_largest);
    EXPECT_LE(fast_error, 4 * direct_error) << channels;
    EXPECT_LE(fast_largest, 4 * direct_largest) << channels;
    RecordProperty(fmt::format("error_ratio_{}", channels), fmt::format("{:.2f}", fast_error / direct_error));
    RecordProperty(fmt::format("largest_ratio_{}", channels), fmt::format("{:.2f}", fast_largest / direct_largest));
  }
}

TEST(Winograd, WeightGradientRoundsAtMostFourTimesAsMuchAsDirectConvolution) {
  CpuContext context(2);
  for (const int64_t extent : {32, 64}) {
    const ConvolutionCase at = map_case(1, extent, extent, 32, 24, 1);
    auto x = normal_values(extent * extent * at.in, 1);
    for (float& value : x) value = std::max(0.0f, value);
    const auto dy = normal_values(extent * extent * at.out, 2);
    const auto expected = reference_gradient(at, x, dy);
    std::vector<float> direct(expected.size()), fast;
    const Conv2dMap map{1, at.height, at.width, at.height, at.width, 0, 0};
    direct_conv2d_backward_weight(
        context, {{at.in, at.out, 3, 3, 1, 1, 1}, {&map, 1}, x.data(), dy.data(), nullptr, direct.data()});
    run_winograd(context, gradient_of(at, x, dy, fast));
    double direct_largest = 0, fast_largest = 0;
    const double direct_error = root_mean_square(direct, expected, direct_largest);
    EXPECT_LE(root_mean_square(fast, expected, fast_largest), 4 * direct_error) << extent;
    EXPECT_LE(fast_largest, 4 * direct_largest) << extent;
  }
}

}  // namespace
}  // namespace tessera
