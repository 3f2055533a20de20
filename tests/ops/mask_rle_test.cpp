#include "engine/ops/mask_rle.h"

#include <gtest/gtest.h>

#include "data/annotations/rle.h"
#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/mask_rle.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;

struct PackedBits {
  int64_t count, height, width;
  std::vector<uint8_t> bytes;

  PackedBits(int64_t count_, int64_t height_, int64_t width_) : count(count_), height(height_), width(width_) {
    bytes.assign(static_cast<size_t>(count * height * row_bytes()), 0);
  }
  int64_t row_bytes() const { return (width + 7) / 8; }
  void set(int64_t mask, int64_t y, int64_t x) {
    uint8_t& byte = bytes[static_cast<size_t>((mask * height + y) * row_bytes() + x / 8)];
    byte = static_cast<uint8_t>(byte | 1u << (x % 8));
  }
  Tensor tensor(Context& context) const {
    return Tensor::from_host<uint8_t>(context, {count, height, row_bytes()}, bytes);
  }
  std::vector<int32_t> runs(int64_t mask) const {
    std::vector<bool> pixels;
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const uint8_t byte = bytes[static_cast<size_t>((mask * height + y) * row_bytes() + x / 8)];
        pixels.push_back((byte >> (x % 8) & 1) != 0);
      }
    }
    return reference::mask_rle(pixels, height, width);
  }
  // By the encoder of the annotations, which other programs' files are checked against.
  Rle rle(int64_t mask) const {
    return rle_encode_bits({bytes.data() + mask * height * row_bytes(), static_cast<int>(row_bytes()), 0, 0,
                            static_cast<int>(width), static_cast<int>(height)},
                           static_cast<int>(height), static_cast<int>(width));
  }
};

TEST(MaskRle, ByHand) {
  PackedBits masks(3, 3, 2);  // empty; full; the upper left pixel and the middle of the second column
  for (int64_t i = 0; i < 6; ++i) masks.set(1, i % 3, i / 3);
  masks.set(2, 0, 0);
  masks.set(2, 1, 1);
  for_each_backend([&](Context& context) {
    const MaskRuns result = mask_rle(context, masks.tensor(context), 2, 5);
    EXPECT_EQ(result.counts.to_host<int32_t>(context), (std::vector<int32_t>{1, 2, 5}));
    EXPECT_EQ(result.runs.to_host<int32_t>(context),
              (std::vector<int32_t>{6, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 1, 3, 1, 1}));
  });
}

// Ellipses, noise and foreground past the width; columns around the warps, blocks and scans of the device kernel.
TEST(MaskRle, AgreesWithOracleAndAnnotations) {
  for (const auto& [height, width] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 70}, {70, 1}, {5, 7}, {33, 31}, {40, 129}, {9, 300}}) {
    PackedBits masks(4, height, width);
    Rng rng(4, RandomPurpose::test, 0, static_cast<uint64_t>(height * 1000 + width));
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const double dy = (double(y) + 0.5) / double(height) - 0.5, dx = (double(x) + 0.5) / double(width) - 0.5;
        if (dy * dy + dx * dx < 0.16) masks.set(0, y, x);
        if (rng.uniform() < 0.5f) masks.set(1, y, x);
        if (y == height - 1) masks.set(2, y, x);
      }
      for (int64_t x = width; x < 8 * masks.row_bytes(); ++x) masks.set(3, y, x);
    }
    const int64_t capacity = height * width + 1;
    for_each_backend([&](Context& context) {
      const MaskRuns result = mask_rle(context, masks.tensor(context), width, capacity);
      const auto counts = result.counts.to_host<int32_t>(context);
      const auto runs = result.runs.to_host<int32_t>(context);
      for (int64_t mask = 0; mask < masks.count; ++mask) {
        const auto first = runs.begin() + mask * capacity, end = first + counts[static_cast<size_t>(mask)];
        EXPECT_EQ(std::vector<int32_t>(first, end), masks.runs(mask)) << height << "x" << width << " " << mask;
        EXPECT_EQ(std::vector<uint32_t>(first, end), masks.rle(mask).counts) << height << "x" << width << " " << mask;
        EXPECT_TRUE(std::all_of(end, first + capacity, [](int32_t run) { return run == 0; }));
      }
      // What does not fit is counted, and what fits is the same.
      const MaskRuns few = mask_rle(context, masks.tensor(context), width, 3);
      EXPECT_EQ(few.counts.to_host<int32_t>(context), counts);
      const auto first_runs = few.runs.to_host<int32_t>(context);
      for (int64_t mask = 0; mask < masks.count; ++mask) {
        for (int64_t i = 0; i < std::min<int64_t>(3, capacity); ++i) {
          EXPECT_EQ(first_runs[static_cast<size_t>(3 * mask + i)], runs[static_cast<size_t>(mask * capacity + i)]);
        }
      }
    });
  }
}

TEST(MaskRle, NothingToEncode) {
  for_each_backend([](Context& context) {
    EXPECT_TRUE(mask_rle(context, Tensor::empty(context, {0, 4, 1}, DType::u8, "bits"), 5, 3)
                    .counts.to_host<int32_t>(context)
                    .empty());
    const MaskRuns result = mask_rle(context, Tensor::empty(context, {2, 0, 1}, DType::u8, "bits"), 5, 2);
    EXPECT_EQ(result.counts.to_host<int32_t>(context), (std::vector<int32_t>{0, 0}));
    EXPECT_EQ(result.runs.to_host<int32_t>(context), (std::vector<int32_t>{0, 0, 0, 0}));
  });
}

}  // namespace
}  // namespace tessera
