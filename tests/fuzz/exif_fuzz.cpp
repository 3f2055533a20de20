// The orientation in a TIFF block, and pictures turned by it.
#include "data/image/exif.h"
#include "tests/fuzz/picture.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  const int orientation = exif_orientation(bytes);
  require(orientation >= 1 && orientation <= 8, "an orientation that does not exist");
  const Image turned = apply_orientation(test_picture(3, 5), orientation);
  require(turned.height == (orientation_swaps_sides(orientation) ? 5 : 3), "a picture of another size");
  return orientation != 1;
}

std::vector<std::string> seeds() {
  return {std::string("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", 26),
          std::string("II*\0\x08\0\0\0\x02\0\x01\x01\x03\0\x01\0\0\0\0\0\0\0\x12\x01\x04\0\x01\0\0\0\x08\0\0\0", 34)};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(Exif, tessera::fuzz::parse, tessera::fuzz::seeds)
