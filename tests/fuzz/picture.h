// What the fuzzers of picture formats share.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "data/image/decode.h"
#include "tests/fuzz/target.h"

namespace tessera::fuzz {

// Header and pixels of a picture of one of the formats; others are left to their own fuzzer.
inline bool parse_picture(Bytes bytes, std::initializer_list<ImageFormat> formats) {
  if (std::find(formats.begin(), formats.end(), sniff_format(bytes)) == formats.end()) return false;
  const DecodeOptions options{.max_pixels = 1 << 16};
  accepts(ExitCode::data, [&] { probe_image(bytes, "input", options); });
  return accepts(ExitCode::data, [&] {
    const DecodedImage decoded = decode_image(bytes, "input", options);
    const Image& image = decoded.image;
    require(image.height == decoded.info.height && image.width == decoded.info.width, "two sizes of one picture");
    require(image.height > 0 && image.width > 0, "a picture without pixels");
    require(image.pixels.size() == size_t{3} * image.height * image.width, "more or fewer pixels than the size says");
    const ImageInfo info = probe_image(bytes, "input", options);
    require(info.height == image.height && info.width == image.width, "a header that promises another size");
  });
}

// Not flat, not random, every channel of its own.
inline Image test_picture(int height, int width) {
  Image image(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = image.at(y, x);
      pixel[0] = static_cast<uint8_t>(x * 9 + y);
      pixel[1] = static_cast<uint8_t>(x * y);
      pixel[2] = static_cast<uint8_t>(x / 3 % 2 * 200);
    }
  }
  return image;
}

inline std::string string_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace tessera::fuzz
