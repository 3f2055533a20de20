#include "engine/ops/mask_enlarge.h"

#include <gtest/gtest.h>

#include "tests/ops/op_check.h"
#include "tests/reference/mask_enlarge.h"

namespace tessera {
namespace {

using namespace testing_support;

void check_bits(const std::vector<uint8_t>& bits, const OpInput& input, const MaskEnlargeOptions& options) {
  const int64_t count = input.shape[0], height = input.shape[1], width = input.shape[2];
  const int64_t row_bytes = (options.out_width + 7) / 8;
  ASSERT_EQ(static_cast<int64_t>(bits.size()), count * options.out_height * row_bytes);
  int64_t set = 0;
  for (int64_t mask = 0; mask < count; ++mask) {
    const auto first = input.values.begin() + mask * height * width;
    const reference::Plane expected =
        reference::mask_enlarge({height, width, {first, first + height * width}}, options.stride, options.cut_height,
                                options.cut_width, options.out_height, options.out_width);
    for (int64_t y = 0; y < options.out_height; ++y) {
      const uint8_t* row = bits.data() + (mask * options.out_height + y) * row_bytes;
      for (int64_t x = 0; x < 8 * row_bytes; ++x) {
        const bool bit = row[x / 8] >> (x % 8) & 1;
        if (x >= options.out_width) {
          EXPECT_FALSE(bit);
        } else if (std::abs(expected.at(y, x) - options.threshold) > 1e-5) {
          EXPECT_EQ(bit, expected.at(y, x) > options.threshold) << mask << " " << y << " " << x;
        }
        set += bit;
      }
    }
  }
  EXPECT_GT(set, 0);
}

void check(int64_t count, int64_t height, int64_t width, const MaskEnlargeOptions& options) {
  const OpInput input = random_input({count, height, width}, 3, 3.0);
  const std::vector<float> values(input.values.begin(), input.values.end());
  std::vector<std::vector<uint8_t>> results;
  for (const int threads : {1, 3}) {
    CpuContext context(threads);
    const Tensor logits = Tensor::from_host<float>(context, input.shape, values);
    results.push_back(mask_enlarge(context, logits, options).to_host<uint8_t>(context));
  }
  EXPECT_EQ(results[0], results[1]);
  for_each_backend([&](Context& context) {
    const Tensor logits = Tensor::from_host<float>(context, input.shape, values);
    check_bits(mask_enlarge(context, logits, options).to_host<uint8_t>(context), input, options);
  });
}

TEST(MaskEnlarge, AgreesWithOracle) {
  check(3, 16, 24, {.stride = 4, .cut_height = 61, .cut_width = 90, .out_height = 61, .out_width = 90});
  check(2, 16, 24, {.stride = 4, .cut_height = 64, .cut_width = 96, .out_height = 130, .out_width = 203});
  check(2, 16, 16, {.stride = 4, .cut_height = 50, .cut_width = 64, .out_height = 17, .out_width = 21});
  check(1, 8, 8, {.stride = 2, .cut_height = 1, .cut_width = 1, .out_height = 3, .out_width = 2, .threshold = 0.01f});
  check(2, 1, 1, {.stride = 4, .cut_height = 4, .cut_width = 3, .out_height = 5, .out_width = 9, .threshold = 0.001f});
}

TEST(MaskEnlarge, NoMaskAndBadSizes) {
  CpuContext context(1);
  const MaskEnlargeOptions options{.cut_height = 8, .cut_width = 8, .out_height = 5, .out_width = 9};
  EXPECT_EQ(mask_enlarge(context, Tensor::empty(context, {0, 2, 2}), options).elements(), 0);
  EXPECT_THROW(mask_enlarge(context, Tensor::empty(context, {1, 2, 1}), options), Error);
}

}  // namespace
}  // namespace tessera
