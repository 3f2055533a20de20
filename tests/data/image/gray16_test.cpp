#include "data/image/gray16.h"

#include <gtest/gtest.h>

#include "data/image/encode.h"
#include "data/image/png.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace tessera {
namespace {

Gray16 random_map(int height, int width) {
  Gray16 map{height, width, {}};
  Rng rng(4, RandomPurpose::test);
  for (int i = 0; i < height * width; ++i) map.values.push_back(static_cast<uint16_t>(rng.bits()));
  return map;
}

std::string failure_of(std::span<const uint8_t> bytes) {
  try {
    decode_gray16(bytes, "map.png");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
  return "accepted";
}

TEST(Gray16, EveryBitComesBack) {
  for (const auto& [height, width] : {std::pair{1, 1}, {3, 7}, {64, 33}, {1, 300}}) {
    const Gray16 map = random_map(height, width);
    const Gray16 back = decode_gray16(encode_gray16_png(map), "map.png");
    EXPECT_EQ(back.height, height);
    EXPECT_EQ(back.width, width);
    EXPECT_EQ(back.values, map.values);
  }
}

TEST(Gray16, RefusesEverythingElse) {
  EXPECT_NE(failure_of(encode_png(Image(4, 4))).find("map.png: a PNG of 8 bits and colour type 2"), std::string::npos);
  const std::vector<uint8_t> gray8 = png_file(1, 2, 8, 0, std::vector<uint8_t>{0, 5, 6});
  EXPECT_NE(failure_of(gray8).find("16-bit grey is expected"), std::string::npos);
  const std::vector<uint8_t> text{'<', 'h', 't', 'm', 'l', '>', ' ', ' ', ' ', ' '};
  EXPECT_NE(failure_of(text).find("not a PNG"), std::string::npos);
}

// 4294967295 x 4294967295 pixels do not fit 64 bits with a sign: found by a fuzzer.
TEST(Gray16, SidesThatOverflowAreRefused) {
  std::vector<uint8_t> bytes = encode_gray16_png(random_map(2, 3));
  constexpr size_t sides = 16;  // two of four bytes in the first chunk
  std::fill_n(bytes.begin() + sides, 8, uint8_t{0xFF});
  EXPECT_NE(failure_of(bytes).find("4294967295 x 4294967295 pixels"), std::string::npos) << failure_of(bytes);
}

TEST(Gray16, DamageAtEveryPlaceIsAnError) {
  const std::vector<uint8_t> whole = encode_gray16_png(random_map(9, 11));
  // The end chunk holds nothing but its name.
  constexpr size_t end_chunk = 12, end_checksum = 4;
  for (size_t length = 0; length < whole.size() - end_checksum; ++length) {
    EXPECT_NE(failure_of({whole.data(), length}), "accepted") << length << " of " << whole.size() << " bytes";
  }
  for (size_t at = 0; at < whole.size() - end_chunk; ++at) {
    std::vector<uint8_t> changed = whole;
    changed[at] ^= 0x10;
    EXPECT_NE(failure_of(changed), "accepted") << "byte " << at;
  }
}

}  // namespace
}  // namespace tessera
