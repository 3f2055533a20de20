#include "data/image/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <numeric>

#include "data/image/encode.h"
#include "data/image/exif.h"
#include "data/image/jpeg.h"
#include "data/image/png.h"
#include "engine/core/error.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

double mean_level(const Image& image) {
  return std::accumulate(image.pixels.begin(), image.pixels.end(), 0.0) / double(image.pixels.size());
}

// Smooth in both directions and different in every corner and channel.
Image gradient(int height, int width) {
  Image image(height, width);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = image.at(y, x);
      pixel[0] = uint8_t(30 + 200 * y / height);
      pixel[1] = uint8_t(20 + 200 * x / width);
      pixel[2] = uint8_t(240 - 100 * y / height - 100 * x / width);
    }
  return image;
}

int largest_difference(const Image& a, const Image& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < std::min(a.pixels.size(), b.pixels.size()); ++i)
    largest = std::max(largest, std::abs(int(a.pixels[i]) - int(b.pixels[i])));
  return largest;
}

std::string error_of(std::span<const uint8_t> bytes, const DecodeOptions& options = {}) {
  try {
    decode_image(bytes, "picture.bin", options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_FALSE(error.hint().empty());
    EXPECT_TRUE(std::string(error.what()).starts_with("picture.bin: ")) << error.what();
    return error.what();
  }
  return "";
}

std::vector<uint8_t> text_bytes(std::string_view text) { return {text.begin(), text.end()}; }

// A JPEG with an EXIF segment holding only the orientation, in either byte order.
std::vector<uint8_t> with_orientation(std::vector<uint8_t> jpeg, int value, bool is_little) {
  const std::vector<uint8_t> little{'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, uint8_t(value),
                                    0,   0,   0};
  const std::vector<uint8_t> big{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, uint8_t(value), 0, 0};
  const std::vector<uint8_t>& tiff = is_little ? little : big;
  std::vector<uint8_t> segment{0xff, 0xe1, 0, uint8_t(2 + 6 + tiff.size()), 'E', 'x', 'i', 'f', 0, 0};
  segment.insert(segment.end(), tiff.begin(), tiff.end());
  jpeg.insert(jpeg.begin() + 2, segment.begin(), segment.end());
  return jpeg;
}

TEST(Decode, PngRoundTripIsExact) {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 300}, {300, 1}, {37, 53}}) {
    const Image image = gradient(height, width);
    const DecodedImage decoded = decode_image(encode_png(image), "x");
    EXPECT_EQ(decoded.image, image);
    EXPECT_EQ(decoded.info.format, ImageFormat::png);
    EXPECT_TRUE(decoded.damage.empty());
  }
}

TEST(Decode, JpegRoundTripIsClose) {
  const Image image = gradient(61, 83);
  const DecodedImage decoded = decode_image(encode_jpeg(image, 95), "x");
  EXPECT_EQ(decoded.info.format, ImageFormat::jpeg);
  EXPECT_LE(largest_difference(decoded.image, image), 6);
}

TEST(Decode, OrientationOfBothByteOrders) {
  const Image image = gradient(24, 40);
  const std::vector<uint8_t> jpeg = encode_jpeg(image, 98);
  const Image upright = decode_image(jpeg, "x").image;
  for (const bool is_little : {true, false})
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const auto bytes = with_orientation(jpeg, orientation, is_little);
      const DecodedImage decoded = decode_image(bytes, "x");
      EXPECT_EQ(decoded.info.orientation, orientation);
      EXPECT_EQ(decoded.image, apply_orientation(upright, orientation));
      EXPECT_EQ(decoded.image.width, orientation >= 5 ? 24 : 40);
      EXPECT_EQ(probe_image(bytes, "x").height, decoded.image.height);
      EXPECT_EQ(decode_image(bytes, "x", {.apply_orientation = false}).image, upright);
    }
  EXPECT_EQ(decode_image(with_orientation(jpeg, 99, true), "x").info.orientation, 1);
}

// Where each corner of the stored picture is to be seen: EXIF 2.3, table of tag 274.
TEST(Decode, OrientationMovesCornersAsExifSays) {
  Image stored(2, 3);
  const Rgb corner[4] = {{1, 0, 0}, {2, 0, 0}, {3, 0, 0}, {4, 0, 0}};  // top left, top right, bottom left, bottom right
  for (int i = 0; i < 4; ++i) stored.at(i / 2, i % 2 * 2)[0] = corner[i].r;
  const int expected[9][4] = {{},           {1, 2, 3, 4}, {2, 1, 4, 3}, {4, 3, 2, 1}, {3, 4, 1, 2},
                              {1, 3, 2, 4}, {3, 1, 4, 2}, {4, 2, 3, 1}, {2, 4, 1, 3}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image seen = apply_orientation(stored, orientation);
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(seen.color(i / 2 * (seen.height - 1), i % 2 * (seen.width - 1)).r, expected[orientation][i])
          << "orientation " << orientation << " corner " << i;
  }
}

TEST(Decode, MalformedExifIsIgnored) {
  for (const std::vector<uint8_t>& tiff :
       std::vector<std::vector<uint8_t>>{{},
                                         {'I', 'I'},
                                         {'X', 'X', 42, 0, 8, 0, 0, 0},
                                         {'I', 'I', 42, 0, 255, 255, 255, 255},
                                         {'I', 'I', 42, 0, 8, 0, 0, 0, 255, 255, 0x12, 1}})
    EXPECT_EQ(exif_orientation(tiff), 1);
}

// The product of sides and bits does not fit 64 bits: found by a fuzzer.
TEST(Decode, SidesThatOverflowAreRefused) {
  std::vector<uint8_t> bmp(64, 0xFF);
  bmp[0] = 'B', bmp[1] = 'M';
  std::fill_n(bmp.begin() + 6, 4, uint8_t{0});
  bmp[21] = bmp[25] = 0x7F;  // width and height 2^31 - 1, of 65535 bits
  try {
    probe_image(bmp, "x.bmp");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_NE(std::string(error.what()).find("2147483647 x 2147483647 pixels"), std::string::npos) << error.what();
  }
}

TEST(Decode, EveryTruncationIsAnErrorOrTheWholePicture) {
  const Image image = gradient(40, 56);
  const std::vector<uint8_t> jpeg = encode_jpeg(image), png = encode_png(image);
  const Image whole = decode_image(jpeg, "x").image;
  for (const auto& bytes : {jpeg, png})
    for (size_t length = 0; length < bytes.size(); ++length) {
      const std::span<const uint8_t> cut(bytes.data(), length);
      try {
        const DecodedImage decoded = decode_image(cut, "x");
        EXPECT_EQ(decoded.image, sniff_format(bytes) == ImageFormat::jpeg ? whole : image) << "cut at " << length;
        EXPECT_GE(length, bytes.size() - 8)
            << "a picture cut at " << length << " of " << bytes.size() << " was accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::data) << error.what();
      }
    }
  const std::span<const uint8_t> no_end_mark(jpeg.data(), jpeg.size() - 2);
  EXPECT_EQ(decode_image(no_end_mark, "x").damage.size(), 1u);
  EXPECT_NE(error_of(no_end_mark, {.strict = true}), "");
  EXPECT_NE(error_of({jpeg.data(), jpeg.size() / 2}).find("truncated"), std::string::npos);
}

// Bytes changed anywhere: an Error or a picture, never a crash (run under the sanitizers).
TEST(Decode, ChangedBytesNeverCrash) {
  const Image image = gradient(20, 28);
  int decoded = 0, refused = 0;
  for (const auto& bytes : {encode_jpeg(image), encode_png(image)})
    for (size_t at = 0; at < bytes.size(); at += 1 + at / 64)
      for (const int flip : {0xff, 0x01, 0x80}) {
        auto changed = bytes;
        changed[at] ^= uint8_t(flip);
        try {
          decode_image(changed, "x", {.max_pixels = 1'000'000});
          ++decoded;
        } catch (const Error&) {
          ++refused;
        }
      }
  EXPECT_GT(decoded, 50);
  EXPECT_GT(refused, 50);
}

TEST(Decode, PngChecksumIsAWarningUnlessStrict) {
  const Image image = gradient(9, 9);
  auto png = encode_png(image);
  png[8 + 8 + 13] ^= 1;  // the checksum of IHDR
  const DecodedImage decoded = decode_image(png, "x");
  EXPECT_EQ(decoded.image, image);
  ASSERT_EQ(decoded.damage.size(), 1u);
  EXPECT_NE(decoded.damage[0].find("IHDR"), std::string::npos);
  EXPECT_NE(error_of(png, {.strict = true}).find("checksum"), std::string::npos);
}

TEST(Decode, PixelLimitComesFromTheHeader) {
  const auto png = encode_png(gradient(50, 50));
  EXPECT_NE(error_of(png, {.max_pixels = 2499}).find("50 x 50 pixels"), std::string::npos);
  EXPECT_EQ(error_of(png, {.max_pixels = 2500}), "");
}

TEST(Decode, StrangersAreNamed) {
  EXPECT_NE(error_of({}).find("empty"), std::string::npos);
  EXPECT_NE(error_of(text_bytes("<!DOCTYPE html><html>")).find("HTML"), std::string::npos);
  EXPECT_NE(error_of(text_bytes("RIFF....WEBPVP8 ")).find("WebP"), std::string::npos);
  EXPECT_NE(error_of(text_bytes("version https://git-lfs.github.com/spec/v1")).find("Git LFS"), std::string::npos);
  EXPECT_NE(error_of(text_bytes("hello, I am a text")).find("text"), std::string::npos);
  EXPECT_NE(error_of(std::vector<uint8_t>{0, 1, 2, 0xfe}).find("00 01 02 fe"), std::string::npos);
}

TEST(Decode, MissingFileAndFolder) {
  const auto folder = std::filesystem::temp_directory_path();
  EXPECT_THROW(load_image(folder / "tessera_no_such_picture.png"), Error);
  EXPECT_THROW(load_image(folder), Error);
}

TEST(Encode, ByExtensionAndWholeOrNotAtAll) {
  const auto folder = std::filesystem::temp_directory_path() / "tessera_encode_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const Image image = gradient(10, 12);
  write_image(folder / "a.png", image);
  write_image(folder / "a.JPG", image);
  EXPECT_EQ(load_image(folder / "a.png"), image);
  EXPECT_EQ(decode_image_file(folder / "a.JPG").info.format, ImageFormat::jpeg);
  EXPECT_THROW(write_image(folder / "missing" / "a.png", image), Error);
  std::filesystem::create_directory(folder / "taken.png");
  EXPECT_THROW(write_image(folder / "taken.png", image), Error);
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++entries;
  EXPECT_EQ(entries, 3u) << "a temporary file was left behind";
  std::filesystem::remove_all(folder);
}

// Expected outcome of every file of the collection of malformed pictures: a part of the error text, or the size and the
// mean level, which is that of PIL 11 (for the two that PIL refuses or spoils: of the undamaged picture).
TEST(Decode, CollectionOfBadPictures) {
  TESSERA_REQUIRE_SHARED_DATA();
  struct Expected {
    std::string error;
    int height = 300, width = 451;
    double mean = 115.318;
    size_t damage = 0;
  };
  const auto good = [](int height, int width, double mean, size_t damage = 0) {
    return Expected{"", height, width, mean, damage};
  };
  const auto bad = [](const char* text) { return Expected{text}; };
  const std::map<std::string, Expected> expected{{"1x1.png", good(1, 1, 8)},
                                                 {"1x5000.jpg", good(5000, 1, 0)},
                                                 {"5000x3.jpg", good(3, 5000, 0)},
                                                 {"anim.gif", good(300, 451, 115.326)},
                                                 {"bitflips.jpg", good(300, 451, 35.178, 1)},
                                                 {"bomb_header_20000x20000.png", bad("20000 x 20000 pixels")},
                                                 {"bomb_zero_rows_20000x20000.png", bad("20000 x 20000 pixels")},
                                                 {"cmyk.jpg", good(300, 451, 115.306)},
                                                 {"exif_garbage.jpg", {}},
                                                 {"exif_orient2.jpg", {}},
                                                 {"exif_orient3.jpg", {}},
                                                 {"exif_orient4.jpg", {}},
                                                 {"exif_orient5.jpg", good(451, 300, 115.318)},
                                                 {"exif_orient6.jpg", good(451, 300, 115.318)},
                                                 {"exif_orient7.jpg", good(451, 300, 115.318)},
                                                 {"exif_orient8.jpg", good(451, 300, 115.318)},
                                                 {"exif_orient99.jpg", {}},
                                                 {"gray.jpg", good(300, 451, 119.481)},
                                                 {"gray16.png", good(300, 451, 119.483)},
                                                 {"gray_alpha.png", good(300, 451, 119.483)},
                                                 {"html_as_jpg.jpg", bad("HTML")},
                                                 {"interlaced_bad_crc.png", good(300, 451, 115.305, 1)},
                                                 {"no_eoi.jpg", good(300, 451, 115.318, 1)},
                                                 {"ok_baseline.jpg", {}},
                                                 {"onebit.png", good(300, 451, 118.906)},
                                                 {"palette.png", good(300, 451, 115.256)},
                                                 {"photo.bmp", good(300, 451, 115.305)},
                                                 {"photo.tif", bad("TIFF")},
                                                 {"png_named.jpg", good(300, 451, 115.305)},
                                                 {"progressive.jpg", {}},
                                                 {"real.webp", bad("WebP")},
                                                 {"rgb16.png", good(48, 64, 115.298)},
                                                 {"rgba.png", good(300, 451, 115.305)},
                                                 {"s422.jpg", good(300, 451, 115.310)},
                                                 {"s444.jpg", good(300, 451, 115.309)},
                                                 {"size_2e31.png", bad("2147483647 x 2147483647")},
                                                 {"size_zero.png", bad("0 x 10")},
                                                 {"sof_65500x65500.jpg", bad("65500 x 65500")},
                                                 {"sof_height0.jpg", bad("451 x 0")},
                                                 {"truncated.png", bad("truncated PNG")},
                                                 {"truncated_50.jpg", bad("truncated JPEG")},
                                                 {"truncated_header.jpg", bad("inside the header")},
                                                 {"zero_bytes.jpg", bad("empty")}};
  size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(testing_support::shared_data() / "bad" / "img")) {
    const std::string name = entry.path().filename();
    SCOPED_TRACE(name);
    const auto found = expected.find(name);
    if (found == expected.end()) continue;
    ++seen;
    const Expected& want = found->second;
    try {
      const DecodedImage decoded = decode_image_file(entry.path());
      EXPECT_EQ(want.error, "") << "was decoded";
      EXPECT_EQ(decoded.image.height, want.height);
      EXPECT_EQ(decoded.image.width, want.width);
      EXPECT_NEAR(mean_level(decoded.image), want.mean, 0.02);
      EXPECT_EQ(decoded.damage.size(), want.damage);
    } catch (const Error& error) {
      EXPECT_NE(want.error, "") << error.what();
      EXPECT_NE(std::string(error.what()).find(want.error), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos);
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_FALSE(error.hint().empty());
    }
  }
  EXPECT_EQ(seen, expected.size());
}

}  // namespace
}  // namespace tessera
