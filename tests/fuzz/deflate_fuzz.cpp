// The compressor is ours, the decompressor is stb's: rows of any bytes, as the picture of a PNG, come back as they
// were.
#include "data/image/deflate.h"

#include "data/image/png.h"
#include "tests/fuzz/picture.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  const size_t pixels = bytes.size() / 3;
  if (pixels == 0 || pixels > 1 << 16) return false;
  const int width = pixels % 7 == 0 ? 7 : 1;
  Image image(static_cast<int>(pixels) / width, width);
  std::copy_n(bytes.begin(), image.pixels.size(), image.pixels.begin());
  const DecodedImage back = decode_image(encode_png(image), "input", {.strict = true});
  require(back.image == image, "another picture after writing and reading");
  // The bytes themselves as rows without filter: what the encoder of PNG would never choose.
  std::vector<uint8_t> rows;
  for (size_t i = 0; i < pixels; ++i) {
    rows.push_back(0);
    rows.insert(rows.end(), &bytes[3 * i], &bytes[3 * i] + 3);
  }
  const Image plain = decode_image(png_file(static_cast<int>(pixels), 1, 8, 2, rows), "input", {.strict = true}).image;
  require(std::equal(plain.pixels.begin(), plain.pixels.end(), bytes.begin()), "other rows after writing and reading");
  return true;
}

std::vector<std::string> seeds() {
  std::string skewed;
  for (int i = 0; i < 600; ++i) skewed += static_cast<char>(i % 17 == 0 ? i : 3);
  return {std::string(300, 'a'), skewed, "abcabcabdabcabcabdxyz"};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(Deflate, tessera::fuzz::parse, tessera::fuzz::seeds)
