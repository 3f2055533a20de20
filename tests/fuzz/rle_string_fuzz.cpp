// Compressed run lengths, behind height and width of four bytes each. What is accepted is written and read to the same
// runs, and the arithmetic agrees on it.
#include "data/annotations/rle.h"
#include "data/image/format.h"
#include "tests/fuzz/target.h"
#include "tests/weights_tools/file_builders.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  if (bytes.size() < 8) return false;
  const auto height = static_cast<int>(read_le32(bytes.data())), width = static_cast<int>(read_le32(bytes.data() + 4));
  return accepts(ExitCode::data, [&] {
    const Rle rle = rle_from_string(text_of(bytes).substr(8), height, width);
    rle_validate(rle);
    require(rle_from_string(rle_to_string(rle), height, width) == rle, "another mask after writing and reading");
    const uint32_t area = rle_area(rle);
    require(rle_intersection(rle, rle) == area, "a mask that does not cover itself");
    const BoxXywh box = rle_box(rle);
    require(box.w * box.h >= area, "a box smaller than its mask");
    // The same mask without the empty runs that a file may hold.
    const Rle plain = rle_merge(std::vector<Rle>{rle, rle}, RleMerge::unite);
    rle_validate(plain);
    require(rle_area(plain) == area && rle_intersection(plain, rle) == area, "a union with itself that differs");
    require(rle_box(plain) == box, "empty runs that move the box");
    if (int64_t{height} * width > 1 << 20) return;
    require(rle_encode(rle_decode(rle)) == plain, "another mask after decoding and encoding");
  });
}

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::vector<uint32_t>& counts :
       {std::vector<uint32_t>{20, 30, 70}, {0, 120}, {120}, {5, 1, 40, 1, 73}, {0, 0, 20, 0, 10, 30, 0, 0, 60}}) {
    all.push_back(testing_support::little(12) + testing_support::little(10) + rle_to_string({12, 10, counts}));
  }
  return all;
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(RleString, tessera::fuzz::parse, tessera::fuzz::seeds)
