// Statistics that the convolution leaves for a group norm: those of the y it wrote, on every path that writes y.
#include "kernels/row_moments.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/ops/row_moments.h"
#include "kernels/conv2d.h"
#include "kernels/conv2d_choice.h"
#include "tests/ops/op_check.h"
#include "tests/sanitized.h"

namespace tessera {
namespace {

using namespace testing_support;

struct Problem {
  Conv2dWindow window;
  std::vector<Conv2dMap> maps;
  bool epilogue = false;  // scale, residual and ReLU beside the bias
  double mean = 0.5;      // of the bias

  // Extents and images of maps, one behind the other.
  Problem(const Conv2dWindow& of, std::initializer_list<std::array<int64_t, 3>> extents, bool with_epilogue = false,
          double of_mean = 0.5)
      : window(of), epilogue(with_epilogue), mean(of_mean) {
    for (const auto& [images, height, width] : extents) {
      const auto out = [&](int64_t extent, int64_t size) {
        return (extent + 2 * window.padding - size) / window.stride + 1;
      };
      maps.push_back(
          {images, height, width, out(height, window.height), out(width, window.width), in_rows(), out_rows()});
    }
  }
  int64_t in_rows() const { return maps.empty() ? 0 : maps.back().in_row + maps.back().in_rows(); }
  int64_t out_rows() const { return maps.empty() ? 0 : maps.back().out_row + maps.back().out_rows(); }
};

struct Result {
  std::vector<float> y;
  std::vector<int32_t> rows;
  std::vector<float> values;
};

// run(device, args) calls the convolution.
template <typename Run>
Result run_convolution(Context& context, const Problem& problem, ConvMath math, bool moments, const Run& run) {
  const Conv2dWindow& window = problem.window;
  const auto upload = [&](int64_t count, uint64_t sample, double mean = 0) {
    const OpInput input = random_input({count}, sample, 1, mean);
    return Tensor::from_host<float>(context, input.shape, std::vector<float>(input.values.begin(), input.values.end()));
  };
  const Tensor x = upload(problem.in_rows() * window.in_channels, 1), weight = upload(window.weight_elements(), 2),
               bias = upload(window.out_channels, 3, problem.mean), scale = upload(window.out_channels, 4, 1),
               residual = upload(problem.out_rows() * window.out_channels, 5);
  Tensor y = Tensor::empty(context, {problem.out_rows(), window.out_channels});
  const RowMomentTensors to =
      RowMomentTensors::empty(context, moment_parts(problem.maps), window.out_channels, "row_moments_test");
  dispatch(context, [&](auto& device) {
    run(device, Conv2dForwardArgs{window, problem.maps, x.data<float>(), weight.data<float>(),
                                  problem.epilogue ? scale.data<float>() : nullptr, bias.data<float>(),
                                  problem.epilogue ? residual.data<float>() : nullptr, y.data<float>(),
                                  problem.epilogue, math, moments ? to.pointers() : RowMoments{}});
  });
  if (!moments) return {y.to_host<float>(context), {}, {}};
  return {y.to_host<float>(context), to.rows.to_host<int32_t>(context), to.values.to_host<float>(context)};
}

// The parts of a segment, joined, are the statistics of its rows. A mean may be off by a few roundings of the largest
// value; a sum of squared deviations by as much in each deviation, which sums of squares would exceed 64-fold: twice
// the product of both is at most 2^-16 of the one and 2^16 of the other.
void expect_moments_of_rows(const std::string& where, const Problem& problem, const Result& result) {
  const int64_t channels = problem.window.out_channels;
  const MomentParts parts = moment_parts(problem.maps);
  ASSERT_EQ(static_cast<int64_t>(result.rows.size()), parts.count()) << where;
  int64_t segment = 0;
  for (const Conv2dMap& map : problem.maps) {
    const int64_t cells = map.out_height * map.out_width;
    for (int64_t image = 0; image < map.images; ++image, ++segment) {
      int64_t counted = 0;
      for (int64_t part = parts.begin(segment); part < parts.end(segment); ++part) {
        counted += result.rows[static_cast<size_t>(part)];
      }
      ASSERT_EQ(counted, cells) << where << " segment " << segment;
      for (int64_t c = 0; c < channels; ++c) {
        const auto y = [&](int64_t cell) {
          return double{result.y[static_cast<size_t>((map.out_row + image * cells + cell) * channels + c)]};
        };
        double exact_mean = 0, exact = 0, largest = 0, mean = 0, deviation = 0;
        for (int64_t cell = 0; cell < cells; ++cell) {
          exact_mean += y(cell) / static_cast<double>(cells);
          largest = std::max(largest, std::abs(y(cell)));
        }
        for (int64_t cell = 0; cell < cells; ++cell) exact += std::pow(y(cell) - exact_mean, 2);
        const auto for_each_part = [&](auto&& use) {
          for (int64_t part = parts.begin(segment); part < parts.end(segment); ++part) {
            const auto at = static_cast<size_t>(part * 2 * channels + c);
            const int32_t rows = result.rows[static_cast<size_t>(part)];
            if (rows > 0) use(double(rows), double{result.values[at]}, double{result.values[at + channels]});
          }
        };
        for_each_part(
            [&](double rows, double of_part, double) { mean += rows * of_part / static_cast<double>(cells); });
        for_each_part([&](double rows, double of_part, double squares) {
          deviation += squares + rows * std::pow(of_part - mean, 2);
        });
        ASSERT_NEAR(mean, exact_mean, 0x1p-22 * largest) << where << " segment " << segment << " channel " << c;
        ASSERT_NEAR(deviation, exact, 0x1p-16 * exact + static_cast<double>(cells) * std::pow(0x1p-15 * largest, 2))
            << where << " segment " << segment << " channel " << c;
      }
    }
  }
}

// Statistics change no bit of y, and have the same bits again.
template <typename Run>
void check_moments(const std::string& where, Context& context, const Problem& problem, ConvMath math, const Run& run) {
  const Result result = run_convolution(context, problem, math, true, run);
  expect_moments_of_rows(where, problem, result);
  EXPECT_EQ(run_convolution(context, problem, math, false, run).y, result.y) << where;
  if (kAddressSanitized) return;
  const Result again = run_convolution(context, problem, math, true, run);
  EXPECT_EQ(again.rows, result.rows) << where;
  for (size_t part = 0; part < result.rows.size(); ++part) {
    if (result.rows[part] == 0) continue;
    const auto first = static_cast<ptrdiff_t>(part) * 2 * problem.window.out_channels;
    ASSERT_TRUE(std::equal(result.values.begin() + first,
                           result.values.begin() + first + 2 * problem.window.out_channels,
                           again.values.begin() + first))
        << where << " part " << part;
  }
}

// in, out, height, width, stride, padding, groups of a window; images, height, width of maps.
const Problem kProblems[] = {
    // More rows than a tile, images and levels that end within one; channels that fill no tile; one cell.
    {{12, 20, 3, 3, 1, 1, 1}, {{2, 9, 17}, {2, 5, 6}, {2, 1, 1}}},
    {{8, 40, 1, 1, 1, 0, 1}, {{1, 3, 7}, {3, 13, 11}}, true},
    {{6, 9, 3, 3, 2, 1, 3}, {{2, 7, 9}, {1, 4, 4}}, true},
    {{12, 12, 3, 3, 1, 1, 1}, {{1, 12, 13}}, false, 4096},
};

void check_every_tile_and_precision(const Problem& problem) {
  for (const ConvMath math :
       {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16, ConvMath::fp16, ConvMath::fp16_accumulate_chunked}) {
    for_each_backend([&](Context& context) {
      if (context.backend() == Backend::cpu) return;
      for (const ConvTile tile : {ConvTile::m128n128, ConvTile::m128n64, ConvTile::m64n64, ConvTile::m128n16}) {
        for (const int splits : {1, 3}) {
          check_moments(
              fmt::format("math {} tile {} splits {}", static_cast<int>(math), static_cast<int>(tile), splits), context,
              problem, math, [&](auto& device, const Conv2dForwardArgs& args) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(device)>, CpuContext>) {
                  conv2d_forward(device, args, ConvChoice{tile, splits});
                }
              });
        }
      }
    });
  }
}

// Small enough for the race checker.
TEST(RowMoments, OfASmallMapInEveryTileAndPrecision) {
  check_every_tile_and_precision({{48, 20, 1, 1, 1, 0, 1}, {{2, 5, 9}}});
}

TEST(RowMoments, OfEveryTileAndPrecisionOfADevice) {
  for (const Problem& problem : {kProblems[0], kProblems[3]}) check_every_tile_and_precision(problem);
}

const auto kAsChosen = [](auto& device, const Conv2dForwardArgs& args) { conv2d_forward(device, args); };

TEST(RowMoments, OfTheChosenKernelsOfEveryBackend) {
  for (const Problem& problem : kProblems) {
    for_each_backend(
        [&](Context& context) { check_moments("as chosen", context, problem, ConvMath::fp32, kAsChosen); });
  }
}

// More tiles than a run has, runs that end within images and images within runs; more channels than a block.
TEST(RowMoments, OfLargerMapsOnTheCpuWithAnyNumberOfThreads) {
  const Problem problems[] = {
      {{32, 48, 3, 3, 1, 1, 1}, {{3, 21, 35}, {3, 9, 6}, {3, 1, 2}}},    // Winograd's algorithm
      {{64, 288, 3, 3, 1, 1, 1}, {{2, 5, 5}, {2, 23, 26}}, true, 1000},  // and more than one chunk of channels
      {{16, 80, 1, 1, 1, 0, 1}, {{2, 31, 17}, {2, 10, 10}}},             // direct
      {{64, 64, 3, 3, 2, 1, 32}, {{2, 33, 29}}, true},                   // in groups of two channels
      {{3, 40, 7, 7, 2, 3, 1}, {{1, 41, 57}}},                           // few channels
  };
  for (const Problem& problem : problems) {
    for (const ConvMath math : {ConvMath::fp32, ConvMath::bf16}) {
      std::vector<Result> results;
      for (const int threads : {1, 2, 3, 7}) {
        CpuContext context(threads);
        if (threads == 1) check_moments("one thread", context, problem, math, kAsChosen);
        results.push_back(run_convolution(context, problem, math, true, kAsChosen));
        EXPECT_EQ(results.back().rows, results.front().rows);
        for (size_t i = 0; i < results.front().values.size(); ++i) {
          const size_t part = i / static_cast<size_t>(2 * problem.window.out_channels);
          if (results.front().rows[part] == 0) continue;
          ASSERT_EQ(results.back().values[i], results.front().values[i]) << threads << " threads, value " << i;
        }
      }
    }
  }
}

TEST(RowMoments, PartsOfASegment) {
  MomentParts parts;
  for (const int64_t rows : {0, 1, 64, 65}) parts.add_segment(rows);
  EXPECT_EQ(parts.segments(), 4);
  EXPECT_EQ(parts.count(), 1 + 2 + 2 + 3);
  EXPECT_EQ(parts.begin(0), 0);
  EXPECT_EQ(parts.begin(3), parts.end(2));
}

}  // namespace
}  // namespace tessera
