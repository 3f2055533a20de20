#include "data/annotations/rle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

// Blobs or noise, by `kind`.
Bitmap random_mask(uint64_t sample, int height, int width) {
  Rng rng(7, RandomPurpose::augmentation, 0, sample);
  Bitmap mask{height, width, std::vector<uint8_t>(static_cast<size_t>(height) * width)};
  const uint32_t kind = rng.bits() % 4;
  const int cx = static_cast<int>(rng.bits() % static_cast<uint32_t>(width));
  const int cy = static_cast<int>(rng.bits() % static_cast<uint32_t>(height));
  const int radius = 1 + static_cast<int>(rng.bits() % static_cast<uint32_t>(std::max(height, width)));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool disc = (x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius;
      const bool noise = rng.bits() % 2 == 0;
      mask.pixels[static_cast<size_t>(y) * width + x] = static_cast<uint8_t>(kind == 0   ? noise
                                                                             : kind == 1 ? disc
                                                                             : kind == 2 ? disc && noise
                                                                                         : kind == 3 && !disc);
    }
  }
  return mask;
}

// Pixel by pixel, as the format is defined.
Rle naive_encode(const Bitmap& mask) {
  Rle rle{mask.height, mask.width, {0}};
  uint8_t value = 0;
  for (int x = 0; x < mask.width; ++x) {
    for (int y = 0; y < mask.height; ++y) {
      if (mask.at(y, x) != value) {
        rle.counts.push_back(0);
        value = mask.at(y, x);
      }
      ++rle.counts.back();
    }
  }
  return rle;
}

std::vector<std::pair<int, int>> extents() {
  return {{1, 1}, {1, 9}, {9, 1}, {7, 8}, {8, 7}, {13, 64}, {64, 13}, {30, 65}, {5, 200}};
}

TEST(Rle, EncodersAgreeWithTheDefinitionAndDecodeInverts) {
  for (auto [height, width] : extents()) {
    for (uint64_t sample = 0; sample < 20; ++sample) {
      const Bitmap mask = random_mask(sample, height, width);
      const Rle expected = naive_encode(mask);
      EXPECT_EQ(rle_encode(mask), expected);
      std::vector<uint8_t> columns(mask.pixels.size());
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) columns[static_cast<size_t>(x) * height + y] = mask.at(y, x) ? 255 : 0;
      }
      EXPECT_EQ(rle_encode_column_major(columns.data(), height, width), expected);
      EXPECT_EQ(rle_decode(expected).pixels, mask.pixels);
      EXPECT_EQ(rle_from_string(rle_to_string(expected), height, width), expected);
    }
  }
}

TEST(Rle, RunsGoDownTheColumns) {
  const Bitmap mask{2, 3, {1, 0, 0, 1, 1, 0}};
  EXPECT_EQ(rle_encode(mask).counts, (std::vector<uint32_t>{0, 2, 1, 1, 2}));
}

TEST(Rle, ByteValuesOtherThanOneAreForeground) {
  const uint8_t pixels[] = {0, 1, 2, 255};
  EXPECT_EQ(rle_encode_row_major(pixels, 1, 4).counts, (std::vector<uint32_t>{1, 3}));
  EXPECT_EQ(rle_encode_column_major(pixels, 4, 1).counts, (std::vector<uint32_t>{1, 3}));
}

TEST(Rle, BitsOfARectangleEncodeLikeTheWholeMask) {
  for (auto [height, width] : extents()) {
    for (uint64_t sample = 0; sample < 12; ++sample) {
      const Bitmap inside = random_mask(sample, height, width);
      const int x = static_cast<int>(sample % 3), y = static_cast<int>(sample % 4);
      Bitmap whole{height + 4, width + 3, {}};
      whole.pixels.assign(static_cast<size_t>(whole.height) * whole.width, 0);
      BitMask bits;
      bits.x = x, bits.y = y, bits.width = width, bits.height = height;
      // Bits past the width are set on purpose: they must be ignored.
      bits.bits.assign(static_cast<size_t>(height) * bits.row_bytes(), 0xff);
      for (int row = 0; row < height; ++row) {
        for (int column = 0; column < width; ++column) {
          whole.pixels[static_cast<size_t>(row + y) * whole.width + column + x] = inside.at(row, column);
          uint8_t& byte = bits.bits[static_cast<size_t>(row) * bits.row_bytes() + column / 8];
          if (!inside.at(row, column)) byte = static_cast<uint8_t>(byte & ~(1 << (column % 8)));
        }
      }
      EXPECT_EQ(rle_encode(bits, whole.height, whole.width), naive_encode(whole));
    }
  }
  EXPECT_EQ(rle_encode_bits({}, 4, 5).counts, (std::vector<uint32_t>{20}));
}

TEST(Rle, MergeAreaBoxAndIouAgreeWithPixels) {
  for (auto [height, width] : extents()) {
    for (uint64_t sample = 0; sample < 30; ++sample) {
      const Bitmap a = random_mask(sample, height, width), b = random_mask(sample + 100, height, width);
      Bitmap united = a, common = a;
      uint32_t area = 0, area_b = 0, shared = 0;
      for (size_t i = 0; i < a.pixels.size(); ++i) {
        united.pixels[i] = a.pixels[i] | b.pixels[i];
        common.pixels[i] = a.pixels[i] & b.pixels[i];
        area += a.pixels[i], area_b += b.pixels[i], shared += common.pixels[i];
      }
      const Rle pair[] = {rle_encode(a), rle_encode(b)};
      EXPECT_EQ(rle_merge(pair, RleMerge::unite), rle_encode(united));
      EXPECT_EQ(rle_merge(pair, RleMerge::intersect), rle_encode(common));
      EXPECT_EQ(rle_area(pair[0]), area);
      const double iou = shared == 0 ? 0 : static_cast<double>(shared) / (area + area_b - shared);
      EXPECT_EQ(rle_iou(pair[0], pair[1], false), iou);
      EXPECT_EQ(rle_iou(pair[0], pair[1], true), shared == 0 ? 0 : static_cast<double>(shared) / area);
      int left = width, right = -1, top = height, bottom = -1;
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          if (!a.at(y, x)) continue;
          left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
        }
      }
      const BoxXywh box = right < 0 ? BoxXywh{} : BoxXywh{1. * left, 1. * top, 1. + right - left, 1. + bottom - top};
      EXPECT_EQ(rle_box(pair[0]), box);
    }
  }
}

TEST(Rle, ZeroRunsAnywhereAreAccepted) {
  const Rle zeros{3, 3, {0, 0, 0, 4, 0, 2, 3}};
  EXPECT_EQ(rle_area(zeros), 6u);
  EXPECT_EQ(rle_box(zeros), (BoxXywh{0, 0, 2, 3}));
  EXPECT_EQ(rle_encode(rle_decode(zeros)).counts, (std::vector<uint32_t>{0, 6, 3}));
  const Rle masks[] = {zeros, zeros};
  EXPECT_EQ(rle_merge(masks, RleMerge::unite).counts, (std::vector<uint32_t>{0, 6, 3}));
  EXPECT_EQ(rle_box({3, 3, {9, 0}}), BoxXywh{});
}

TEST(Rle, StringDifferencesStartAtTheFourthRun) {
  // 2, 3, 2 are written as they are; the second 3 is a difference of 0 to the run two back.
  EXPECT_EQ(rle_to_string({1, 10, {2, 3, 2, 3}}), "2320");
  EXPECT_EQ(rle_to_string({1, 100, {50, 50}}), "b1b1");
  EXPECT_EQ(rle_from_string("2320", 1, 10).counts, (std::vector<uint32_t>{2, 3, 2, 3}));
  // Large runs need seven characters.
  const Rle large{65535, 65535, {0, 4294836225u}};
  EXPECT_EQ(rle_from_string(rle_to_string(large), 65535, 65535), large);
}

TEST(Rle, BadStringsAreRefused) {
  for (const char* text : {"", "2", "23", "b", "~~", "2 3", "oooooooo0", "PPPPPPPPPP", "2320o", "00000", "M"}) {
    EXPECT_THROW(rle_from_string(text, 1, 10), Error) << text;
  }
  EXPECT_THROW(rle_from_string("0", 0, 0), Error);
  EXPECT_THROW(rle_validate({1 << 16, 1 << 16, {}}), Error);
  EXPECT_NO_THROW(rle_from_string("2320", 1, 10));
}

TEST(Rle, DifferentSizesAreRefused) {
  const Rle masks[] = {{2, 3, {6}}, {3, 2, {6}}};
  EXPECT_THROW(rle_merge(masks, RleMerge::unite), Error);
  EXPECT_THROW(rle_iou(masks[0], masks[1], false), Error);
  EXPECT_EQ(rle_merge({}, RleMerge::unite), Rle{});
}

TEST(BoxIou, HasNoPlusOneAndTouchingBoxesDoNotMeet) {
  EXPECT_DOUBLE_EQ(box_iou({0, 0, 2, 2}, {1, 0, 2, 2}, false), 1. / 3);
  EXPECT_DOUBLE_EQ(box_iou({0, 0, 2, 2}, {1, 0, 2, 2}, true), .5);
  EXPECT_EQ(box_iou({0, 0, 2, 2}, {2, 0, 2, 2}, false), 0);
}

TEST(Rle, OperationsOfPycocotools) {
  TESSERA_REQUIRE_SHARED_DATA();
  const auto cases = nlohmann::json::parse(std::ifstream(testing_support::shared_data() / "golden" / "rle_ops.json"));
  ASSERT_EQ(cases.size(), 300u);
  const auto read = [](const nlohmann::json& rle) {
    return rle_from_string(rle.at("counts").get<std::string>(), rle.at("size")[0], rle.at("size")[1]);
  };
  for (const auto& expected : cases) {
    std::vector<Rle> masks;
    for (const auto& rle : expected.at("rles")) masks.push_back(read(rle));
    for (size_t i = 0; i < masks.size(); ++i) {
      EXPECT_EQ(rle_area(masks[i]), expected.at("area")[i].get<uint32_t>());
      const BoxXywh box = rle_box(masks[i]);
      EXPECT_EQ((std::vector<double>{box.x, box.y, box.w, box.h}), expected.at("bbox")[i].get<std::vector<double>>());
      for (size_t j = 0; j < masks.size(); ++j) {
        EXPECT_EQ(rle_iou(masks[i], masks[j], expected.at("iscrowd")[j].get<int>() != 0),
                  expected.at("iou")[i][j].get<double>());
      }
    }
    EXPECT_EQ(rle_to_string(rle_merge(masks, RleMerge::unite)), expected.at("union").at("counts").get<std::string>());
    EXPECT_EQ(rle_to_string(rle_merge(masks, RleMerge::intersect)),
              expected.at("inter").at("counts").get<std::string>());
  }
}

}  // namespace
}  // namespace tessera
