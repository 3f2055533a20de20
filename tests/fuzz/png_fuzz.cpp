// PNG of 8 and 16 bits; checksums that are wrong are damage, no reason to refuse.
#include "data/image/decode.h"
#include "data/image/gray16.h"
#include "data/image/png.h"
#include "tests/fuzz/picture.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) { return parse_picture(bytes, {ImageFormat::png}); }

std::vector<std::string> seeds() {
  const std::vector<uint8_t> rows = {0, 1, 2, 1, 3, 4};  // 2 x 2, 8-bit grey
  return {string_of(encode_png(test_picture(9, 14))), string_of(encode_gray16_png({2, 3, {0, 1, 300, 65535, 5, 6}})),
          string_of(png_file(2, 2, 8, 0, rows))};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(Png, tessera::fuzz::parse, tessera::fuzz::seeds)
