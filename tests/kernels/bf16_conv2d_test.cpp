// Convolutions in bf16 on the CPU, by every path that this build and machine have. The oracle works on rounded
// operands; what is left is the rounding of sums, below terms * 2^-24 * sum of |products| in any order.
#include "kernels/cpu/bf16_conv2d.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "tests/ops/conv2d_problem.h"
#include "tests/ops/guarded_allocator.h"

namespace tessera {
namespace {

using namespace testing_support;

std::vector<Bf16Path> paths() {
  std::vector<Bf16Path> found;
  for (const Bf16Path path : {Bf16Path::portable, Bf16Path::avx512, Bf16Path::amx}) {
    if (has_bf16_path(path)) found.push_back(path);
  }
  return found;
}

std::vector<float> narrowed(const Values& values) { return {values.begin(), values.end()}; }

// What a kernel leaves unwritten stays NaN.
std::vector<float> unwritten(int64_t count) {
  return std::vector<float>(static_cast<size_t>(count), std::numeric_limits<float>::quiet_NaN());
}

// What a layer adds; empty: nothing.
struct Epilogue {
  std::vector<float> scale, bias, residual;
  bool relu = false;
};

const float* data_or_null(const std::vector<float>& values) { return values.empty() ? nullptr : values.data(); }

struct Passes {
  std::vector<float> y, dx, dweight;

  bool operator==(const Passes&) const = default;
};

// scale: of the gradients alike.
Passes run(const Problem& problem, const Operands& operands, Bf16Path path, int threads, const Epilogue& end = {}) {
  const std::vector<float> x = narrowed(operands.x), dy = narrowed(operands.dy), weight = narrowed(operands.weight);
  const std::vector<Conv2dMap> maps = problem.maps();
  const Conv2dWindow window = problem.window();
  Passes passes{unwritten(problem.out_size()), unwritten(problem.in_size()), unwritten(window.weight_elements())};
  CpuContext context(threads, make_guarded_allocator());
  bf16_conv2d_forward(context,
                      {window, maps, x.data(), weight.data(), data_or_null(end.scale), data_or_null(end.bias),
                       data_or_null(end.residual), passes.y.data(), end.relu},
                      path);
  bf16_conv2d_backward_data(context,
                            {window, maps, dy.data(), weight.data(), data_or_null(end.scale), passes.dx.data()}, path);
  bf16_conv2d_backward_weight(
      context, {window, maps, x.data(), dy.data(), data_or_null(end.scale), passes.dweight.data()}, path);
  return passes;
}

void expect_oracle(const Problem& problem) {
  const Operands operands(problem);
  const Values x = rounded(ConvMath::bf16, operands.x), dy = rounded(ConvMath::bf16, operands.dy),
               weight = rounded(ConvMath::bf16, operands.weight);
  const Values y = problem.forward(x, weight), dx = problem.data_gradient(dy, weight),
               dweight = problem.weight_gradient(x, dy);
  const Values y_size = problem.forward(magnitudes(x), magnitudes(weight)),
               dx_size = problem.data_gradient(magnitudes(dy), magnitudes(weight)),
               dweight_size = problem.weight_gradient(magnitudes(x), magnitudes(dy));
  const Conv2dWindow window = problem.window();
  for (const Bf16Path path : paths()) {
    const std::string name = bf16_path_name(path);
    const Passes one = run(problem, operands, path, 1);
    expect_near("forward " + name, one.y, y, y_size, bound_of(ConvMath::bf16, window.taps() * window.group_in()));
    expect_near("data gradient " + name, one.dx, dx, dx_size,
                bound_of(ConvMath::bf16, window.taps() * window.group_out()));
    expect_near("weight gradient " + name, one.dweight, dweight, dweight_size,
                bound_of(ConvMath::bf16, problem.out_size() / problem.any().out));
    for (const int threads : {2, 3, 7}) EXPECT_EQ(run(problem, operands, path, threads), one) << name << " " << threads;
  }
}

// Cells, channels and outputs around the sizes of tiles; strides with odd and even extents; windows that hang over the
// map, are larger than their stride or smaller, or do not fit at all; groups, also those that are taken together.
TEST(Bf16Conv2d, AgreesWithOracle) {
  const ConvolutionCase cases[] = {
      {1, 7, 9, 32, 32, 3, 3, 1, 1, 1},   {2, 11, 13, 40, 20, 3, 3, 1, 1, 1}, {1, 4, 4, 8, 1, 1, 1, 1, 0, 1},
      {1, 6, 5, 64, 17, 1, 1, 1, 0, 1},   {1, 9, 8, 33, 48, 3, 3, 2, 1, 1},   {2, 10, 7, 16, 33, 1, 1, 2, 0, 1},
      {1, 13, 12, 9, 10, 7, 7, 2, 3, 1},  {1, 5, 40, 24, 65, 3, 3, 1, 0, 1},  {1, 6, 6, 31, 15, 3, 3, 1, 2, 1},
      {1, 12, 11, 10, 16, 2, 3, 3, 1, 1}, {1, 8, 8, 8, 8, 1, 1, 3, 1, 1},     {3, 1, 1, 300, 70, 1, 1, 1, 0, 1},
      {1, 2, 2, 16, 16, 5, 5, 1, 1, 1},   {1, 9, 10, 32, 40, 3, 3, 1, 1, 4},  {1, 7, 6, 64, 64, 3, 3, 2, 1, 8},
      {2, 5, 5, 120, 96, 3, 3, 1, 1, 3},  {1, 6, 7, 80, 80, 3, 3, 1, 1, 10},  {1, 70, 3, 12, 12, 3, 1, 1, 1, 1},
      {0, 5, 5, 16, 16, 3, 3, 1, 1, 1},   {1, 0, 5, 16, 16, 1, 1, 1, 0, 1},   {1, 3, 3, 256, 64, 3, 3, 1, 1, 1},
      {1, 14, 10, 16, 24, 3, 3, 4, 0, 2},
  };
  for (const ConvolutionCase& at : cases) {
    SCOPED_TRACE(fmt::format("{}x{}x{} {}->{} window {}x{} stride {} padding {} groups {}", at.images, at.height,
                             at.width, at.in, at.out, at.window_height, at.window_width, at.stride, at.padding,
                             at.groups));
    expect_oracle({{at}});
  }
}

// The levels of a pyramid and more, some of them empty.
TEST(Bf16Conv2d, ManyMapsInOneCall) {
  for (const int64_t stride : {1, 3}) {
    Problem problem;
    for (int64_t i = 0; i < 19; ++i) problem.cases.push_back({1 + i % 2, i % 7, 2 + i % 5, 9, 8, 3, 3, stride, 1, 1});
    expect_oracle(problem);
  }
}

// More values than a strip holds, of the gathers and of the weight gradient, and rows longer than one.
TEST(Bf16Conv2d, MapsOfManyStrips) {
  expect_oracle({{{1, 520, 60, 64, 8, 1, 1, 1, 0, 1}}});
  expect_oracle({{{1, 9, 21, 1536, 8, 3, 3, 2, 1, 1}}});
  expect_oracle({{{2, 2, 9000, 32, 1, 2, 2, 1, 0, 1}}});
}

TEST(Bf16Conv2d, EpilogueAndScaledGradients) {
  const Problem problem{
      {{2, 9, 7, 24, 20, 3, 3, 1, 1, 1}, {2, 5, 4, 24, 20, 3, 3, 1, 1, 1}, {2, 1, 2, 24, 20, 3, 3, 1, 1, 1}}};
  const Operands operands(problem);
  const Conv2dWindow window = problem.window();
  const Epilogue end{narrowed(random_input({20}, 4).values), narrowed(random_input({20}, 5).values),
                     narrowed(random_input({problem.out_size()}, 6).values), true};
  const Values x = rounded(ConvMath::bf16, operands.x), dy = rounded(ConvMath::bf16, operands.dy),
               weight = rounded(ConvMath::bf16, operands.weight);
  // Backward the weights are multiplied before they are rounded.
  Values scaled_weight = operands.weight;
  const auto of_output = static_cast<size_t>(window.taps() * window.group_in());
  for (size_t i = 0; i < scaled_weight.size(); ++i) {
    scaled_weight[i] = static_cast<float>(scaled_weight[i]) * end.scale[i / of_output];
  }
  scaled_weight = rounded(ConvMath::bf16, scaled_weight);
  Values y = problem.forward(x, weight), y_size = problem.forward(magnitudes(x), magnitudes(weight));
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] = std::max(0.0, y[i] * end.scale[i % 20] + end.bias[i % 20] + end.residual[i]);
    y_size[i] = y_size[i] * std::abs(end.scale[i % 20]) + std::abs(end.bias[i % 20]) + std::abs(end.residual[i]);
  }
  Values dweight = problem.weight_gradient(x, dy),
         dweight_size = problem.weight_gradient(magnitudes(x), magnitudes(dy));
  for (size_t i = 0; i < dweight.size(); ++i) {
    dweight[i] *= end.scale[i / of_output];
    dweight_size[i] *= std::abs(end.scale[i / of_output]);
  }
  for (const Bf16Path path : paths()) {
    const std::string name = bf16_path_name(path);
    const Passes one = run(problem, operands, path, 1, end);
    expect_near("forward " + name, one.y, y, y_size, bound_of(ConvMath::bf16, 9 * 24 + 3));
    expect_near("data gradient " + name, one.dx, problem.data_gradient(dy, scaled_weight),
                problem.data_gradient(magnitudes(dy), magnitudes(scaled_weight)), bound_of(ConvMath::bf16, 9 * 20));
    expect_near("weight gradient " + name, one.dweight, dweight, dweight_size, bound_of(ConvMath::bf16, 2 * 85 + 1));
    EXPECT_EQ(run(problem, operands, path, 3, end), one) << name;
  }
}

// A result of more than 4 MiB is written past the caches, its halves are not: the same bits.
TEST(Bf16Conv2d, LargeResultsEqualTheirHalves) {
  const Conv2dWindow window{24, 64, 1, 1, 1, 0, 1};
  const Conv2dMap whole{2, 151, 83, 151, 83, 0, 0};
  ASSERT_GT(whole.out_rows() * window.out_channels, int64_t{1} << 20);
  CpuContext context(2);
  const auto tensor = [&](int64_t count, uint64_t sample) {
    return upload(context, random_input({count}, sample).values);
  };
  const Tensor x = tensor(whole.in_rows() * window.in_channels, 1), weight = tensor(window.weight_elements(), 2);
  const Shape shape{whole.out_rows() * window.out_channels};
  const Tensor y = Tensor::empty(context, shape), halves = Tensor::empty(context, shape);
  const auto forward = [&](const Conv2dMap& map, const Tensor& to) {
    bf16_conv2d_forward(
        context,
        {window, {&map, 1}, x.data<float>(), weight.data<float>(), nullptr, nullptr, nullptr, to.data<float>(), true});
  };
  forward(whole, y);
  const int64_t half = whole.out_rows() / 2;
  ASSERT_LT(half * window.out_channels, int64_t{1} << 20);
  for (const int64_t first : {int64_t{0}, half}) forward({1, 151, 83, 151, 83, first, first}, halves);
  EXPECT_EQ(y.to_host<float>(context), halves.to_host<float>(context));
}

// Where fewer than 8 channels are summed over: the bits of fp32. Else not.
TEST(Bf16Conv2d, FewChannelsRunInFp32) {
  EXPECT_FALSE(bf16_applies(ConvMath::bf16, 7));
  EXPECT_TRUE(bf16_applies(ConvMath::bf16, 8));
  EXPECT_FALSE(bf16_applies(ConvMath::fp32, 8));
  for (const int64_t in : {3, 8}) {
    const Problem problem{{{1, 5, 6, in, 8, 3, 3, 1, 1, 1}}};
    const Operands operands(problem);
    const std::vector<float> x = narrowed(operands.x), weight = narrowed(operands.weight);
    CpuContext context(1);
    const auto forward = [&](ConvMath math) {
      std::vector<float> y = unwritten(problem.out_size());
      const std::vector<Conv2dMap> maps = problem.maps();
      conv2d_forward(
          context, {problem.window(), maps, x.data(), weight.data(), nullptr, nullptr, nullptr, y.data(), false, math});
      return y;
    };
    EXPECT_EQ(forward(ConvMath::bf16) == forward(ConvMath::fp32), in == 3);
  }
}

// Ties go to even; NaN and infinities stay what they are, and what is out of range becomes infinite.
TEST(Bf16, RoundsToNearestEven) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::pair<float, float> cases[] = {{1 + 0x1p-8f, 1},
                                           {1 + 0x3p-8f, 1 + 0x1p-6f},
                                           {1 + 0x1p-8f + 0x1p-23f, 1 + 0x1p-7f},
                                           {-1 - 0x1p-8f, -1},
                                           {0x1p-126f, 0x1p-126f},
                                           {-0.0f, -0.0f},
                                           {0x1.fep127f, 0x1.fep127f},
                                           {std::numeric_limits<float>::max(), infinity},
                                           {-infinity, -infinity}};
  for (const auto& [value, expected] : cases) {
    // Blocks of a register and single values.
    const std::vector<float> from(35, value);
    std::vector<Bf16> to(from.size());
    round_to_bf16(from.data(), 35, to.data());
    for (const Bf16 bits : to) EXPECT_EQ(static_cast<uint32_t>(bits) << 16, std::bit_cast<uint32_t>(expected)) << value;
  }
  const std::vector<float> from(35, std::bit_cast<float>(0x7f800001u));  // NaN whose upper half alone is an infinity
  std::vector<Bf16> to(from.size());
  round_to_bf16(from.data(), 35, to.data());
  for (const Bf16 bits : to) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    EXPECT_TRUE(value != value);
  }
}

TEST(Bf16, WordsAreTransposed) {
  uint32_t from[16][16], to[16][20] = {};
  for (uint32_t i = 0; i < 256; ++i) from[i / 16][i % 16] = i;
  transpose_words(from, to, sizeof to[0]);
  for (uint32_t i = 0; i < 256; ++i) EXPECT_EQ(to[i / 16][i % 16], i % 16 * 16 + i / 16);
}

}  // namespace
}  // namespace tessera
