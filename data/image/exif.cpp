#include "data/image/exif.h"

#include "data/image/format.h"

namespace tessera {

int exif_orientation(std::span<const uint8_t> tiff) {
  if (tiff.size() < 8) return 1;
  const bool is_little = tiff[0] == 'I' && tiff[1] == 'I';
  const bool is_big = tiff[0] == 'M' && tiff[1] == 'M';
  if (!is_little && !is_big) return 1;
  const auto u16 = [&](size_t at) { return is_little ? read_le16(&tiff[at]) : read_be16(&tiff[at]); };
  const auto u32 = [&](size_t at) { return is_little ? read_le32(&tiff[at]) : read_be32(&tiff[at]); };
  if (u16(2) != 42) return 1;
  const size_t directory = u32(4);
  if (directory > tiff.size() - 2) return 1;
  const size_t entries = u16(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * 12;  // tag u16, type u16, count u32, value or offset u32
    if (entry + 12 > tiff.size()) return 1;
    if (u16(entry) != 0x112) continue;
    constexpr uint32_t type_short = 3, type_long = 4;
    const uint32_t type = u16(entry + 2);
    const uint32_t value = type == type_short ? u16(entry + 8) : type == type_long ? u32(entry + 8) : 0;
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool swaps = orientation_swaps_sides(orientation);
  Image turned(swaps ? image.width : image.height, swaps ? image.height : image.width);
  const int last_row = image.height - 1, last_column = image.width - 1;
  for (int y = 0; y < turned.height; ++y)
    for (int x = 0; x < turned.width; ++x) {
      int row = swaps ? x : y, column = swaps ? y : x;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) row = last_row - row;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) column = last_column - column;
      const uint8_t* source = image.at(row, column);
      uint8_t* target = turned.at(y, x);
      target[0] = source[0], target[1] = source[1], target[2] = source[2];
    }
  return turned;
}

}  // namespace tessera
