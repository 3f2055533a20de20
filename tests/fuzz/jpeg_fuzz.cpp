// JPEG: markers, EXIF, scans.
#include "data/image/decode.h"
#include "data/image/jpeg.h"
#include "tests/fuzz/picture.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) { return parse_picture(bytes, {ImageFormat::jpeg}); }

std::vector<std::string> seeds() {
  const std::string plain = string_of(encode_jpeg(test_picture(18, 21)));
  // An EXIF block that turns the picture, behind the first marker.
  const std::string tiff("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", 26);
  const std::string exif = std::string(
                               "\xff\xe1\0\x22"
                               "Exif\0\0",
                               10) +
                           tiff;
  return {plain, plain.substr(0, 2) + exif + plain.substr(2)};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(Jpeg, tessera::fuzz::parse, tessera::fuzz::seeds)
