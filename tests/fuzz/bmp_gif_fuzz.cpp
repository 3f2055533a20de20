// BMP and the first frame of GIF.
#include "data/image/decode.h"
#include "tests/fuzz/picture.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) { return parse_picture(bytes, {ImageFormat::bmp, ImageFormat::gif}); }

std::vector<std::string> seeds() {
  std::string bmp = "BM" + std::string("\x4a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0", 28);
  bmp += std::string(24, '\0') + std::string("\x01\x02\x03\x04\x05\x06\0\0", 8) + std::string(8, '\x55');
  const std::string gif("GIF89a\x02\0\x02\0\x80\0\0\xff\0\0\0\0\xff,\0\0\0\0\x02\0\x02\0\0\x02\x03\x44\x02\x05\0;", 35);
  return {bmp, gif};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(BmpGif, tessera::fuzz::parse, tessera::fuzz::seeds)
