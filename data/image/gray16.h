// 16-bit grey PNGs: pictures whose samples are numbers (label and instance maps), where reducing to 8 bits would
// destroy them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/image/decode.h"

namespace tessera {

struct Gray16 {
  int height = 0, width = 0;
  std::vector<uint16_t> values;  // [height * width], row-major

  uint16_t at(int y, int x) const { return values[static_cast<size_t>(y) * width + x]; }
};

// Throws Error(data) naming the file for anything but a whole, undamaged PNG of one channel and 16 bits.
Gray16 decode_gray16(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options = {});
Gray16 load_gray16(const std::filesystem::path& path, const DecodeOptions& options = {});

// Each row with filter 1 on both bytes of a sample.
std::vector<uint8_t> encode_gray16_png(const Gray16& image);

}  // namespace tessera
