#include "data/image/png.h"

#include <gtest/gtest.h>

#include <string_view>
#include <utility>

#include "data/image/decode.h"
#include "data/image/deflate.h"

namespace tessera {
namespace {

// stb's decoder is the judge: it knows nothing of this encoder.
void expect_round_trip(const Image& image) {
  const std::vector<uint8_t> png = encode_png(image);
  const DecodedImage decoded = decode_image(png, "encoded.png");
  EXPECT_TRUE(decoded.damage.empty());
  EXPECT_EQ(decoded.image, image);
}

TEST(Png, RoundTripsOfEveryKindOfContent) {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 2}, {2, 1}, {3, 300}, {300, 3}, {64, 65}, {200, 500}})
    for (int kind = 0; kind < 5; ++kind) {
      Image image(height, width);
      uint32_t state = 12345;
      for (size_t i = 0; i < image.pixels.size(); ++i) {
        state = state * 1664525u + 1013904223u;
        const uint8_t values[] = {7, uint8_t(state >> 24), uint8_t(i / 3), uint8_t(i % 5 * 50 + (state >> 31)),
                                  uint8_t(state >> 24 < 3 ? 255 : 0)};
        image.pixels[i] = values[kind];
      }
      SCOPED_TRACE(testing::Message() << height << "x" << width << " kind " << kind);
      expect_round_trip(image);
    }
}

TEST(Png, CompressesWhatCanBeCompressed) {
  Image flat(400, 400, {1, 2, 3}), ramp(400, 400);
  for (int y = 0; y < 400; ++y)
    for (int x = 0; x < 400; ++x) ramp.at(y, x)[0] = uint8_t(x / 2 + y / 3);
  EXPECT_LT(encode_png(flat).size(), 4000u);
  EXPECT_LT(encode_png(ramp).size(), 30000u);
}

// Fibonacci counts make the deepest Huffman trees: the limit of 15 bits must hold.
TEST(Png, SkewedCountsStayWithinTheCodeLimit) {
  Image image(1000, 200);
  size_t at = 0, previous = 1, current = 1;
  for (int value = 0; at < image.pixels.size(); ++value) {
    for (size_t i = 0; i < current && at < image.pixels.size(); ++i, at += 3) image.pixels[at] = uint8_t(value * 37);
    current += std::exchange(previous, current);
  }
  uint32_t state = 1;  // shuffled, so that no copies hide the literals
  for (size_t i = image.pixels.size() / 3; i > 1; --i) {
    state = state * 1664525u + 1013904223u;
    const size_t j = (uint64_t(state) * i) >> 32;
    std::swap(image.pixels[(i - 1) * 3], image.pixels[j * 3]);
  }
  expect_round_trip(image);
}

TEST(Png, ChecksumOfTheKnownString) {
  // The check value of CRC-32 (reveng catalogue).
  constexpr std::string_view digits = "123456789";
  const std::vector<uint8_t> bytes(digits.begin(), digits.end());
  EXPECT_EQ(png_checksum(bytes), 0xcbf43926u);
  EXPECT_EQ(png_checksum({}), 0u);
}

}  // namespace
}  // namespace tessera
