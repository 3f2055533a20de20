// Writing PNG, and the checksum of its chunks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/image/image.h"

namespace tessera {

// 8-bit RGB, each row with the filter of the smallest residuals.
std::vector<uint8_t> encode_png(const Image& image);

// A whole file around rows that are filtered already, each behind the number of its filter. bits of a sample; colour
// type: 0 grey, 2 RGB.
std::vector<uint8_t> png_file(int height, int width, int bits, int colour, std::span<const uint8_t> filtered);

// CRC-32 of PNG (and zip): polynomial 0xedb88320, reflected.
uint32_t png_checksum(std::span<const uint8_t> bytes);

}  // namespace tessera
