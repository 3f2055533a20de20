// Every version of kernels/lab/grid_binarize, and the shipped kernel, against the double-precision oracle.
#include "kernels/lab/grid_binarize/1_definition.h"
#include "kernels/lab/grid_binarize/3_scores.h"

#if !defined(__CUDACC__)  // nvcc only has to accept the kernels

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "tests/reference/grid_binarize.h"

namespace tessera {
namespace {

using reference::BinarizeCase;
using reference::GridBox;
using Version = void (*)(DeviceContext&, const GridBinarizeArgs&);

void shipped(DeviceContext& context, const GridBinarizeArgs& args) { grid_binarize(context, args); }

const std::vector<std::pair<std::string, Version>>& versions() {
  static const std::vector<std::pair<std::string, Version>> all{
      {"1 definition", grid_binarize_lab::binarize_by_definition},
      {"2 classifier", grid_binarize_lab::binarize_by_classifier},
      {"3 scores", grid_binarize_lab::binarize_by_scores},
      {"shipped", shipped}};
  return all;
}

std::vector<double> random_values(size_t count, uint64_t sample) {
  Rng rng(9, RandomPurpose::test, 0, sample);
  std::vector<double> values(count);
  for (double& value : values) value = static_cast<float>(rng.normal());
  return values;
}

// Device memory of the emulator is memory of the host.
void expect_bits(const BinarizeCase& at, const std::vector<GridBox>& boxes) {
  const auto count = static_cast<int64_t>(boxes.size());
  const std::vector<double> objects = random_values(boxes.size() * 2 * at.k * at.k * at.channels, 2);
  const std::vector<float> pixels(at.pixels.begin(), at.pixels.end()), vectors(objects.begin(), objects.end());
  std::vector<float> corners;
  for (const GridBox& box : boxes) {
    for (const double value : {box.x1, box.y1, box.x2, box.y2}) corners.push_back(static_cast<float>(value));
  }
  EmulatedContext context;
  std::vector<PixelRectangle> rectangles(boxes.size());
  std::vector<int64_t> offsets(boxes.size() + 1);
  grid_binarize_plan(context, {corners.data(), nullptr, rectangles.data(), offsets.data(), count, at.original_height,
                               at.original_width, -1});
  for (const auto& [name, version] : versions()) {
    SCOPED_TRACE(name);
    std::vector<uint8_t> bits(static_cast<size_t>(offsets.back()), 0xff);
    GridBinarizeArgs args{};
    args.pixels = pixels.data();
    args.objects = vectors.data();
    args.boxes = corners.data();
    args.rectangles = rectangles.data();
    args.offsets = offsets.data();
    args.bits = bits.data();
    args.height = at.height;
    args.width = at.width;
    args.channels = at.channels;
    args.count = count;
    args.original_height = at.original_height;
    args.original_width = at.original_width;
    args.resized_height = at.resized_height;
    args.resized_width = at.resized_width;
    args.k = at.k;
    args.stride = static_cast<float>(at.stride);
    version(context, args);
    int64_t seen = 0, ones = 0;
    for (size_t i = 0; i < boxes.size(); ++i) {
      const PixelRectangle& rectangle = rectangles[i];
      for (int y = 0; y < rectangle.height; ++y) {
        const uint8_t* row = bits.data() + offsets[i] + y * rectangle.row_bytes();
        for (int x = 0; x < 8 * rectangle.row_bytes(); ++x) {
          const bool bit = (row[x / 8] >> (x % 8) & 1) != 0;
          if (x >= rectangle.width) {
            ASSERT_FALSE(bit) << "box " << i << " beyond row " << y;
            continue;
          }
          const reference::BinarizedPixel expected = reference::binarize_pixel(
              at, objects.data() + i * 2 * at.k * at.k * at.channels, boxes[i], rectangle.x + x, rectangle.y + y);
          ASSERT_TRUE(expected.inside);
          ++seen;
          ones += bit;
          ASSERT_TRUE(bit == expected.bit || std::abs(expected.margin) < 1e-5) << "box " << i << " " << x << ", " << y;
        }
      }
    }
    EXPECT_GT(ones, seen / 10);
    EXPECT_LT(ones, seen - seen / 10);
  }
}

TEST(GridBinarizeLab, EveryVersionAgreesWithOracle) {
  for (const std::array<int, 4>& sizes : {std::array{48, 72, 48, 72}, std::array{61, 83, 48, 72},
                                          std::array{6, 9, 48, 72} /* a map as fine as the picture */}) {
    const BinarizeCase at{6, 9, 8, 3, 8, sizes[0], sizes[1], sizes[2], sizes[3], random_values(6 * 9 * 8, 1)};
    const double height = sizes[0], width = sizes[1];
    expect_bits(at, {{0, 0, width, height},
                     {width / 4, height / 8, width / 4 * 3, height},
                     {width / 2, height / 2, width / 2, height}});
  }
}

}  // namespace
}  // namespace tessera

#endif
