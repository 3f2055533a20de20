// Instance maps, and the names of their files.
#include "data/annotations/cityscapes.h"
#include "tests/fuzz/picture.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  accepts(ExitCode::data,
          [&] { cityscapes_instance_file(string_of(bytes.first(std::min<size_t>(bytes.size(), 99)))); });
  return accepts(ExitCode::data, [&] {
    const Gray16 map = decode_gray16(bytes, "input", {.max_pixels = 1 << 16});
    uint64_t pixels = 0;
    for (const CityscapesObject& object : cityscapes_objects(map)) {
      rle_validate(object.mask);
      pixels += rle_area(object.mask);
    }
    require(pixels <= map.values.size(), "a pixel of two objects");
  });
}

std::vector<std::string> seeds() {
  return {string_of(encode_gray16_png({2, 3, {24001, 24001, 26, 0, 7, 33000}})),
          string_of(encode_gray16_png({4, 1, {26001, 26002, 26001, 65535}}))};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(Cityscapes, tessera::fuzz::parse, tessera::fuzz::seeds)
