#include "data/pipeline/transforms.h"

#include <gtest/gtest.h>

#include <map>

#include <cmath>

#include "data/annotations/polygon.h"
#include "data/image/exif.h"
#include "data/image/resize.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

Image ramp(int height, int width) {
  Image image(height, width);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      uint8_t* p = image.at(y, x);
      p[0] = uint8_t(3 * y), p[1] = uint8_t(2 * x), p[2] = uint8_t(y + x);
    }
  return image;
}

SampleGeometry geometry(int height, int width, int position, int scale = 1) {
  SampleGeometry g{.original_height = height, .original_width = width, .crop_height = height, .crop_width = width};
  g.resized_height = height * scale, g.resized_width = width * scale;
  g.flips_horizontally = position & 1, g.flips_vertically = position & 2, g.transposes = position & 4;
  return g;
}

TEST(Transforms, ShortSidesOfAList) {
  Augmentation augmentation;
  augmentation.short_sides = {640, 672, 800};
  std::map<int, int> seen;
  for (uint64_t sample = 0; sample < 300; ++sample) {
    Rng rng(1, RandomPurpose::augmentation, 0, sample);
    const SampleGeometry geometry = draw_geometry(rng, 500, 400, {.max_side = 0}, augmentation);
    ++seen[geometry.resized_width];
  }
  ASSERT_EQ(seen.size(), 3u);
  for (const int side : {640, 672, 800}) EXPECT_GT(seen[side], 60) << side;
}

TEST(Transforms, EightPositionsOfPictureBoxMaskAndPolygonAgree) {
  const int height = 40, width = 60;
  // A rectangle of the picture has its own colour; it is the object.
  Image image(height, width, {10, 10, 10});
  Bitmap mask{height, width, std::vector<uint8_t>(size_t(height) * width)};
  const Box box{7, 5, 22, 31};
  for (int y = 5; y < 31; ++y)
    for (int x = 7; x < 22; ++x) image.at(y, x)[0] = 200, mask.pixels[size_t(y) * width + x] = 1;
  const std::vector<double> polygon{7, 5, 22, 5, 22, 31, 7, 31};
  for (int position = 0; position < 8; ++position)
    for (int scale : {1, 3}) {
      SCOPED_TRACE(testing::Message() << "position " << position << " scale " << scale);
      const SampleGeometry g = geometry(height, width, position, scale);
      const Image out = transform_image(image, g);
      EXPECT_EQ(out.height, g.output_height());
      EXPECT_EQ(out.width, g.output_width());
      const Bitmap moved = transform_mask(mask, g);
      int wrong = 0;
      for (int y = 0; y < out.height; ++y)
        for (int x = 0; x < out.width; ++x) wrong += (out.color(y, x).r > 105) != (moved.at(y, x) != 0);
      EXPECT_EQ(wrong, scale == 1 ? 0 : 4) << "enlarging rounds the four corners and nothing else";
      const Box tight = tight_box(moved), transformed = transform_box(box, g);
      EXPECT_EQ(tight.x1, transformed.x1);
      EXPECT_EQ(tight.y1, transformed.y1);
      EXPECT_EQ(tight.x2, transformed.x2);
      EXPECT_EQ(tight.y2, transformed.y2);
      const Bitmap drawn = rle_decode(rle_from_polygon(transform_polygon(polygon, g), out.height, out.width));
      EXPECT_EQ(drawn.pixels, moved.pixels);
    }
}

TEST(Transforms, PositionsAreThoseOfExif) {
  const Image image = ramp(11, 17);
  const int orientation_of[8] = {1, 2, 4, 3, 5, 8, 6, 7};  // flips first, then transposition
  for (int position = 0; position < 8; ++position)
    EXPECT_EQ(transform_image(image, geometry(11, 17, position)), apply_orientation(image, orientation_of[position]))
        << position;
}

TEST(Transforms, MasksTakeTheNearestPixel) {
  const Bitmap mask{2, 4, {1, 0, 0, 1, 0, 1, 1, 0}};
  EXPECT_EQ(transform_mask(mask, geometry(2, 4, 0, 2)).pixels,
            (std::vector<uint8_t>{1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1,
                                  0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0}));
  SampleGeometry smaller = geometry(2, 4, 0);
  smaller.resized_height = 1, smaller.resized_width = 2;
  // Columns floor((i + 0.5) * 4 / 2) = 1, 3; row floor(0.5 * 2 / 1) = 1.
  EXPECT_EQ(transform_mask(mask, smaller).pixels, (std::vector<uint8_t>{1, 0}));
}

TEST(Transforms, CropKeepsItsWindow) {
  const Image image = ramp(50, 70);
  SampleGeometry g{
      .original_height = 50, .original_width = 70, .crop_y = 10, .crop_x = 20, .crop_height = 15, .crop_width = 25};
  g.resized_height = 15, g.resized_width = 25;
  const Image out = transform_image(image, g);
  for (int y = 0; y < 15; ++y)
    for (int x = 0; x < 25; ++x) EXPECT_EQ(out.color(y, x), image.color(y + 10, x + 20));
  const Box inside = transform_box({22, 12, 30, 20}, g), partly = transform_box({0, 0, 30, 20}, g);
  EXPECT_EQ(inside.x1, 2);
  EXPECT_EQ(inside.y2, 10);
  EXPECT_EQ(partly.x1, 0);
  EXPECT_EQ(partly.x2, 10);
  EXPECT_TRUE(transform_box({0, 0, 20, 10}, g).empty());
  EXPECT_TRUE(transform_box({}, g).empty());
}

// Against the definition, pixel by pixel, for masks anywhere and geometries of every kind.
TEST(Transforms, MaskEqualsItsDefinition) {
  Augmentation everything{.min_short_side = 9,
                          .max_short_side = 60,
                          .vertical_flip = 0.5f,
                          .transpose = 0.5f,
                          .crop = 0.7f,
                          .crop_least = 0.3f};
  for (int trial = 0; trial < 200; ++trial) {
    Rng rng(4, RandomPurpose::test, 1, trial);
    Bitmap mask{31, 23, std::vector<uint8_t>(31 * 23)};
    const int y1 = int(rng.below(31)), x1 = int(rng.below(23));
    for (int y = y1; y < std::min(31, y1 + 1 + int(rng.below(12))); ++y)
      for (int x = x1; x < std::min(23, x1 + 1 + int(rng.below(12))); ++x) mask.pixels[y * 23 + x] = rng.below(3) > 0;
    const SampleGeometry g = draw_geometry(rng, 31, 23, {.max_side = 0}, everything);
    const Bitmap moved = transform_mask(mask, g);
    int wrong = 0;
    for (int y = 0; y < moved.height; ++y)
      for (int x = 0; x < moved.width; ++x) {
        int row = g.transposes ? x : y, column = g.transposes ? y : x;
        if (g.flips_vertically) row = g.resized_height - 1 - row;
        if (g.flips_horizontally) column = g.resized_width - 1 - column;
        const int source_row = g.crop_y + int((row + 0.5) * g.crop_height / g.resized_height);
        const int source_column = g.crop_x + int((column + 0.5) * g.crop_width / g.resized_width);
        wrong += moved.at(y, x) != mask.at(source_row, source_column);
      }
    EXPECT_EQ(wrong, 0) << "trial " << trial;
  }
}

TEST(Transforms, DrawsAreInRangeAndIndependentOfEachOther) {
  Augmentation everything{.min_short_side = 64,
                          .max_short_side = 96,
                          .horizontal_flip = 0.5f,
                          .vertical_flip = 0.25f,
                          .transpose = 0.5f,
                          .crop = 0.5f,
                          .crop_least = 0.4f};
  const Preprocessing preprocessing{.short_side = 80, .max_side = 200};
  int flips = 0, verticals = 0, transposes = 0, crops = 0, least = 1000, most = 0;
  constexpr int draws = 2000;
  for (int i = 0; i < draws; ++i) {
    Rng rng(3, RandomPurpose::test, 0, i), same(3, RandomPurpose::test, 0, i);
    const SampleGeometry g = draw_geometry(rng, 100, 150, preprocessing, everything);
    flips += g.flips_horizontally, verticals += g.flips_vertically, transposes += g.transposes, crops += g.is_cropped();
    EXPECT_GE(g.crop_y, 0);
    EXPECT_LE(g.crop_y + g.crop_height, 100);
    EXPECT_LE(g.crop_x + g.crop_width, 150);
    EXPECT_GE(g.crop_height, 40);
    EXPECT_LE(std::max(g.resized_height, g.resized_width), 200);
    if (!g.is_cropped()) least = std::min(least, g.resized_height), most = std::max(most, g.resized_height);
    Augmentation only_flip;
    EXPECT_EQ(draw_geometry(same, 100, 150, preprocessing, only_flip).flips_horizontally, g.flips_horizontally);
    EXPECT_EQ(rng.bits(), same.bits());
  }
  EXPECT_NEAR(flips, draws / 2, 100);
  EXPECT_NEAR(verticals, draws / 4, 100);
  EXPECT_NEAR(transposes, draws / 2, 100);
  EXPECT_NEAR(crops, draws / 2, 100);
  EXPECT_EQ(least, 64);
  EXPECT_EQ(most, 96);
}

TEST(Transforms, NormalisesInTheOrderOfTheNetwork) {
  Image image(1, 2);
  image.pixels = {10, 20, 30, 255, 0, 128};
  Preprocessing p;
  p.order = ChannelOrder::bgr;
  p.mean = {1, 2, 3};
  p.deviation = {2, 4, 5};
  std::vector<float> out(9, -7.f);
  normalize_into(image, p, {}, out.data(), 3);
  EXPECT_EQ(out, (std::vector<float>{29 / 2.f, 18 / 4.f, 7 / 5.f, 127 / 2.f, -2 / 4.f, 252 / 5.f, -7, -7, -7}));
  p.order = ChannelOrder::rgb;
  normalize_into(image, p, {.brightness = 10, .contrast = 1, .gain = {1, 2, 1}}, out.data(), 3);
  EXPECT_FLOAT_EQ(out[0], (20 - 1) / 2.f);
  EXPECT_FLOAT_EQ(out[1], (60 - 2) / 4.f);
  EXPECT_FLOAT_EQ(out[3], (255 - 1) / 2.f) << "cut to 255";
}

TEST(Transforms, PreparedPictureIsPaddedWithZeros) {
  const Image image = ramp(50, 70);
  const Preprocessing p{.short_side = 100, .max_side = 120};
  const PreparedImage prepared = prepare_image(image, p);
  EXPECT_EQ(prepared.geometry.resized_height, 86);  // 50 * 120 / 70 = 85.7
  EXPECT_EQ(prepared.geometry.resized_width, 120);
  EXPECT_EQ(prepared.height, 96);
  EXPECT_EQ(prepared.width, 128);
  const Image resized = resize_bilinear(image, 86, 120);
  for (int y = 0; y < 96; ++y)
    for (int x = 0; x < 128; ++x) {
      const float value = prepared.values[(size_t(y) * 128 + x) * 3 + 1];
      EXPECT_FLOAT_EQ(value, y < 86 && x < 120 ? (resized.color(y, x).g - p.mean[1]) / p.deviation[1] : 0.f);
    }
  const PreparedImage kept = prepare_image(image, {.size_divisor = 1, .short_side = 0, .max_side = 0});
  EXPECT_EQ(kept.height, 50);
  EXPECT_EQ(kept.width, 70);
  EXPECT_EQ(prepare_image(Image(1, 1), {}).height, 800);
}

// data.md D12: without a cap of the long side 1 x 5000 pixels would become 384 x 1,920,000.
TEST(Preprocessing, ThinPicturesAreNotEnlargedBeyondSixteenShortSides) {
  using Size = std::pair<int, int>;
  Preprocessing preprocessing;
  preprocessing.short_side = 384;
  preprocessing.max_side = 0;
  EXPECT_EQ(network_size(preprocessing, 5000, 1), (Size{6144, 1}));
  EXPECT_EQ(network_size(preprocessing, 1, 8000), (Size{1, 8000}));      // never smaller than it is
  EXPECT_EQ(network_size(preprocessing, 100, 1600), (Size{384, 6144}));  // 16 to 1 is not thin
  EXPECT_EQ(network_size(preprocessing, 100, 3200), (Size{192, 6144}));
  EXPECT_EQ(network_size(preprocessing, 500, 20000), (Size{384, 15360}));  // made smaller, as without the rule
  preprocessing.max_side = 1333;
  EXPECT_EQ(network_size(preprocessing, 5000, 1), (Size{1333, 1}));
}

TEST(Preprocessing, SurvivesTheMetadata) {
  Preprocessing p;
  p.order = ChannelOrder::bgr;
  p.mean = {103.53f, 116.28f, 0.1f};
  p.deviation = {1, 1.0f / 3, 58.395f};
  p.size_divisor = 128, p.short_side = 640, p.max_side = 0;
  auto metadata = to_metadata(p);
  EXPECT_EQ(preprocessing_from_metadata(metadata), p);
  EXPECT_EQ(preprocessing_from_metadata({{"model", "x"}}), Preprocessing{});
  EXPECT_EQ(metadata.at("preprocessing.mean"), "103.53,116.28,0.1");
  for (const auto& [key, value] : to_metadata(p)) {
    for (const std::string& wrong : {std::string("nonsense"), value + ",", std::string()}) {
      auto broken = metadata;
      broken[key] = wrong;
      EXPECT_THROW(preprocessing_from_metadata(broken), Error) << key << "=" << wrong;
    }
    auto missing = metadata;
    missing.erase(key);
    EXPECT_THROW(preprocessing_from_metadata(missing), Error) << key;
  }
  metadata["preprocessing.deviation"] = "1,0,1";
  EXPECT_THROW(preprocessing_from_metadata(metadata), Error);
}

}  // namespace
}  // namespace tessera
