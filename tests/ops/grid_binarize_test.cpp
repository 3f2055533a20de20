#include "engine/ops/grid_binarize.h"

#include <gtest/gtest.h>

#include <limits>

#include "data/annotations/annotations.h"
#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/grid_binarize.h"

namespace tessera {
namespace {

using namespace testing_support;
using reference::BinarizeCase;
using reference::GridBox;

std::vector<float> to_float(const std::vector<double>& values) { return {values.begin(), values.end()}; }

// A map with structure at several scales: random values, smoothed by averaging with the left and upper neighbour.
BinarizeCase make_case(int height, int width, int channels, int k, double stride, std::array<int, 4> sizes,
                       uint64_t sample) {
  BinarizeCase at{height, width, channels, k, stride, sizes[0], sizes[1], sizes[2], sizes[3], {}};
  at.pixels = random_input({height, width, channels}, sample).values;
  const auto row = static_cast<size_t>(width * channels);
  for (size_t i = static_cast<size_t>(channels); i < at.pixels.size(); ++i) {
    const double above = i >= row ? at.pixels[i - row] : 0.0;
    at.pixels[i] = static_cast<float>(0.4 * at.pixels[i] + 0.35 * at.pixels[i - channels] + 0.35 * above);
  }
  return at;
}

GridBinarizeOptions options_of(const BinarizeCase& at) {
  return {
      at.k, static_cast<float>(at.stride), at.original_height, at.original_width, at.resized_height, at.resized_width,
      0};
}

GridMasks run_op(Context& context, const BinarizeCase& at, const std::vector<double>& objects,
                 const std::vector<GridBox>& boxes, double pixel_factor = 1, double object_factor = 1) {
  std::vector<float> corners, pixels = to_float(at.pixels), vectors = to_float(objects);
  for (const GridBox& box : boxes) {
    for (const double value : {box.x1, box.y1, box.x2, box.y2}) corners.push_back(static_cast<float>(value));
  }
  for (float& value : pixels) value = static_cast<float>(value * pixel_factor);
  for (float& value : vectors) value = static_cast<float>(value * object_factor);
  const auto count = static_cast<int64_t>(boxes.size());
  return grid_binarize(context, Tensor::from_host<float>(context, {at.height, at.width, at.channels}, pixels),
                       Tensor::from_host<float>(context, {count, 2 * at.k * at.k * at.channels}, vectors),
                       Tensor::from_host<float>(context, {count, 4}, corners), {}, options_of(at));
}

std::vector<BitMask> to_masks(Context& context, const GridMasks& masks) {
  const std::vector<int32_t> rectangles = masks.rectangles.to_host<int32_t>(context);
  const std::vector<int64_t> offsets = masks.offsets.to_host<int64_t>(context);
  const std::vector<uint8_t> bits = masks.bits.to_host<uint8_t>(context);
  std::vector<BitMask> result;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    BitMask mask{rectangles[4 * i], rectangles[4 * i + 1], rectangles[4 * i + 2], rectangles[4 * i + 3], {}};
    const auto bytes = static_cast<std::ptrdiff_t>(mask.height) * mask.row_bytes();
    EXPECT_LE(offsets[i] + bytes, offsets[i + 1]);
    mask.bits.assign(bits.begin() + offsets[i], bits.begin() + offsets[i] + bytes);
    result.push_back(mask);
  }
  return result;
}

// Every pixel of the picture against the oracle; a bit may differ only where the margin is within rounding.
void expect_masks(Context& context, const BinarizeCase& at, const std::vector<double>& objects,
                  const std::vector<GridBox>& boxes, const std::string& name) {
  const std::vector<BitMask> masks = to_masks(context, run_op(context, at, objects, boxes));
  ASSERT_EQ(masks.size(), boxes.size());
  int64_t total = 0, ones = 0, differing = 0;
  for (size_t i = 0; i < boxes.size(); ++i) {
    const BitMask& mask = masks[i];
    const double* vectors = objects.data() + i * 2 * at.k * at.k * at.channels;
    for (int y = 0; y < at.original_height; ++y) {
      for (int x = 0; x < at.original_width; ++x) {
        const reference::BinarizedPixel expected = reference::binarize_pixel(at, vectors, boxes[i], x, y);
        const int column = x - mask.x, row = y - mask.y;
        const bool inside = column >= 0 && column < mask.width && row >= 0 && row < mask.height;
        ASSERT_EQ(inside, expected.inside) << name << ": box " << i << " pixel " << x << ", " << y;
        if (!inside) continue;
        ++total;
        const bool bit = expected.bit && expected.margin > 1e-13;  // with one channel, most comparisons are ties
        ones += bit;
        if (mask.at(row, column) == bit) continue;
        ++differing;
        ASSERT_LT(std::abs(expected.margin), 1e-5) << name << ": box " << i << " pixel " << x << ", " << y;
      }
    }
    for (int row = 0; row < mask.height; ++row) {  // unused bits are 0
      for (int column = mask.width; column < 8 * mask.row_bytes(); ++column) {
        ASSERT_FALSE(mask.bits[static_cast<size_t>(row) * mask.row_bytes() + column / 8] >> (column % 8) & 1);
      }
    }
  }
  EXPECT_LE(differing, 1 + total / 100000) << name;
  if (total > 500) {
    EXPECT_GT(ones, total / 10) << name << ": too one-sided to prove anything";
    EXPECT_LT(ones, total - total / 10) << name;
  }
}

std::vector<GridBox> mixed_boxes(double width, double height, int random) {
  std::vector<GridBox> boxes{{0, 0, width, height},                                            // everything
                             {width * .2, height * .3, width * .9, height * .8},               //
                             {width * .5, height * .5, width * .5 + 2.25, height * .5 + 2.5},  // smaller than k pixels
                             {3.75, 4.25, 4.25, 30.0},                                         // no pixel centre
                             {3.25, 4.25, 3.75, 30.0},                                         // one pixel wide
                             {7, 7, 7, 20},                                                    // no width
                             {9, 7, 5, 20},                                                    // inverted
                             {width - 3, height - 5, width, height},                           // the far corner
                             {0, 0, 1, 1},                                                     //
                             {-20, -3.5, width + 10, 9}};                                      // beyond the borders
  Rng rng(5, RandomPurpose::test, 2);
  for (int i = 0; i < random; ++i) {
    const float x = rng.uniform(0, static_cast<float>(width) - 1), y = rng.uniform(0, static_cast<float>(height) - 1);
    boxes.push_back({x, y, std::min<double>(width, x + rng.uniform(0, static_cast<float>(width))),
                     std::min<double>(height, y + rng.uniform(0, static_cast<float>(height)))});
  }
  for (GridBox& box : boxes) {
    box = {static_cast<float>(box.x1), static_cast<float>(box.y1), static_cast<float>(box.x2),
           static_cast<float>(box.y2)};
  }
  return boxes;
}

std::vector<double> random_objects(size_t boxes, const BinarizeCase& at, uint64_t sample) {
  return random_input({static_cast<int64_t>(boxes), 2 * at.k * at.k * at.channels}, sample).values;
}

void check_case(const BinarizeCase& at, int random, const std::string& name) {
  const std::vector<GridBox> boxes = mixed_boxes(at.original_width, at.original_height, random);
  const std::vector<double> objects = random_objects(boxes.size(), at, 52);
  for_each_backend([&](Context& context) { expect_masks(context, at, objects, boxes, name); });
}

// Small enough for the race checker.
TEST(GridBinarize, SmallMaps) {
  for (const int channels : {7, 16}) {
    check_case(make_case(5, 6, channels, 2, 8, {40, 48, 40, 48}, 51), 1, fmt::format("small, C {}", channels));
  }
  // Map positions further apart than pixels: another kernel.
  check_case(make_case(8, 11, 4, 2, 8, {6, 8, 64, 86}, 57), 1, "small, far below the map");
}

TEST(GridBinarize, EveryGridSize) {
  for (const int k : {1, 2, 3, 4, 5}) {
    check_case(make_case(12, 16, 16, k, 8, {96, 128, 96, 128}, 51), 12, fmt::format("k {}", k));
  }
}

TEST(GridBinarize, EveryEmbeddingSize) {
  for (const int channels : {1, 2, 7, 8, 12, 24}) {
    check_case(make_case(9, 11, channels, 3, 8, {72, 88, 72, 88}, 53), 4, fmt::format("C {}", channels));
  }
}

TEST(GridBinarize, EveryScale) {
  // original height, width, resized height, width
  for (const std::array<int, 4>& sizes :
       {std::array{48, 64, 96, 128}, std::array{200, 267, 96, 128}, std::array{97, 131, 95, 127},
        std::array{96, 60, 96, 128}, std::array{13, 17, 96, 128} /* a pixel is 7 input pixels */,
        std::array{12, 16, 96, 128}, std::array{5, 7, 96, 128} /* less than one pixel a cell: the slow path */,
        std::array{90, 9, 96, 128}, std::array{1, 1, 96, 128}, std::array{60, 80, 70, 100} /* padded map */}) {
    check_case(make_case(12, 16, 8, 3, 8, sizes, 54), 8,
               fmt::format("{}x{} of {}x{}", sizes[0], sizes[1], sizes[2], sizes[3]));
  }
  check_case(make_case(30, 40, 8, 3, 2, {60, 80, 60, 80}, 55), 8, "stride 2");
  check_case(make_case(1, 1, 8, 3, 8, {40, 40, 8, 8}, 56), 4, "a map of one cell");
  check_case(make_case(1, 9, 8, 2, 8, {9, 70, 8, 72}, 57), 4, "a map of one row");
}

TEST(GridBinarize, MapWiderThanAWord) { check_case(make_case(5, 170, 4, 1, 8, {40, 1360, 40, 1360}, 58), 3, "wide"); }

TEST(GridBinarize, LengthsOfTheVectorsDoNotMatter) {
  const BinarizeCase at = make_case(12, 16, 16, 3, 8, {96, 128, 96, 128}, 51);
  const std::vector<GridBox> boxes = mixed_boxes(128, 96, 10);
  const std::vector<double> objects = random_objects(boxes.size(), at, 52);
  for_each_backend([&](Context& context) {
    const std::vector<BitMask> plain = to_masks(context, run_op(context, at, objects, boxes));
    for (const double factor : {1e-3, 0.25, 1e3}) {
      const std::vector<BitMask> pixels = to_masks(context, run_op(context, at, objects, boxes, factor, 1));
      const std::vector<BitMask> vectors = to_masks(context, run_op(context, at, objects, boxes, 1, factor));
      int differing = 0;
      for (size_t i = 0; i < plain.size(); ++i) {
        for (size_t byte = 0; byte < plain[i].bits.size(); ++byte) {
          differing += __builtin_popcount(plain[i].bits[byte] ^ pixels[i].bits[byte]);
          differing += __builtin_popcount(plain[i].bits[byte] ^ vectors[i].bits[byte]);
        }
      }
      EXPECT_LE(differing, factor == 0.25 ? 0 : 2) << factor;
    }
  });
}

// k = 1 is a plain classifier with two classes: the same vectors in all cells of a larger grid give the same mask.
TEST(GridBinarize, OneCellIsAPlainClassifier) {
  const BinarizeCase one = make_case(12, 16, 8, 1, 8, {96, 128, 96, 128}, 51);
  BinarizeCase three = one;
  three.k = 3;
  const std::vector<GridBox> boxes{{10.5, 20.25, 100.75, 90}};
  const std::vector<double> objects = random_objects(1, one, 60);
  std::vector<double> repeated;
  for (int cell = 0; cell < 9; ++cell) repeated.insert(repeated.end(), objects.begin(), objects.end());
  for_each_backend([&](Context& context) {
    EXPECT_EQ(to_masks(context, run_op(context, one, objects, boxes))[0].bits,
              to_masks(context, run_op(context, three, repeated, boxes))[0].bits);
  });
}

TEST(GridBinarize, TiesAreBackground) {
  const BinarizeCase at = make_case(12, 16, 8, 2, 8, {96, 128, 96, 128}, 51);
  for_each_backend([&](Context& context) {
    const std::vector<double> equal(2 * 4 * 8, 0.5), zero(2 * 4 * 8, 0.0);
    for (const auto& objects : {equal, zero}) {
      const std::vector<BitMask> masks = to_masks(context, run_op(context, at, objects, {{0, 0, 128, 96}}));
      EXPECT_EQ(masks[0].bits, std::vector<uint8_t>(96 * 16, 0));
    }
  });
}

TEST(GridBinarize, ValidCountCapacityAndBoxesThatAreNoNumbers) {
  const BinarizeCase at = make_case(12, 16, 8, 3, 8, {96, 128, 96, 128}, 51);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> corners{0, 0, 64, 64, nan, 0, 10, 10, 10, 10, 50, 60, 20, 20, 90, 90};
  for_each_backend([&](Context& context) {
    const Tensor pixels = Tensor::from_host<float>(context, {1, 12, 16, 8}, to_float(at.pixels));
    const Tensor objects = Tensor::from_host<float>(context, {4, 144}, to_float(random_objects(4, at, 61)));
    const Tensor boxes = Tensor::from_host<float>(context, {4, 4}, corners);
    const auto sizes = [&](const Tensor& valid, int64_t capacity) {
      GridBinarizeOptions options = options_of(at);
      options.capacity = capacity;
      const GridMasks masks = grid_binarize(context, pixels, objects, boxes, valid, options);
      if (capacity > 0) {
        EXPECT_EQ(masks.bits.elements(), capacity);
      }
      std::vector<int> widths;
      for (const BitMask& mask : to_masks(context, masks)) widths.push_back(mask.width);
      return widths;
    };
    EXPECT_EQ(sizes({}, 0), (std::vector<int>{64, 0, 40, 70}));
    EXPECT_EQ(sizes(Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{3}), 0),
              (std::vector<int>{64, 0, 40, 0}));
    EXPECT_EQ(sizes(Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{0}), 0),
              (std::vector<int>{0, 0, 0, 0}));
    EXPECT_EQ(sizes({}, 1000), (std::vector<int>{64, 0, 40, 0}));  // 512 + 250 bytes and their slack
    EXPECT_EQ(sizes({}, 10), (std::vector<int>{0, 0, 0, 0}));
  });
}

TEST(GridBinarize, SameBitsForAnyNumberOfThreads) {
  const BinarizeCase at = make_case(12, 16, 16, 3, 8, {96, 128, 96, 128}, 51);
  const std::vector<GridBox> boxes = mixed_boxes(128, 96, 30);
  const std::vector<double> objects = random_objects(boxes.size(), at, 52);
  CpuContext one(1), three(3);
  const std::vector<BitMask> a = to_masks(one, run_op(one, at, objects, boxes));
  const std::vector<BitMask> b = to_masks(three, run_op(three, at, objects, boxes));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].bits, b[i].bits);
}

TEST(GridBinarize, PlansWithoutData) {
  PlanContext context;
  const GridMasks masks =
      grid_binarize(context, Tensor::empty(context, {100, 136, 16}), Tensor::empty(context, {100, 288}),
                    Tensor::empty(context, {100, 4}), {}, {3, 8, 800, 1088, 800, 1088, 0});
  EXPECT_EQ(masks.rectangles.shape(), Shape({100, 4}));
  EXPECT_GE(masks.bits.elements(), 100 * 800 * 136);
}

}  // namespace
}  // namespace tessera
