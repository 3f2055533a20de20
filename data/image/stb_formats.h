// PNG, BMP and the first frame of GIF through stb_image, with the checks that stb leaves out: checksums, cut files,
// sizes before memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/image/format.h"
#include "data/image/image.h"

namespace tessera {

// Throw DecodeFailure where the header is unusable; is_truncated where the blocks of the file run past its end.
PictureHeader read_png_header(std::span<const uint8_t> bytes);  // checks the CRC of every chunk -> damage
PictureHeader read_bmp_header(std::span<const uint8_t> bytes);
PictureHeader read_gif_header(std::span<const uint8_t> bytes);

// 16-bit samples become their high byte, alpha is dropped, palettes and grey are expanded. Throws DecodeFailure.
Image decode_with_stb(std::span<const uint8_t> bytes, const PictureHeader& header);

// zlib level 0..9 as stb_image_write understands it; low is fast.
std::vector<uint8_t> encode_png(const Image& image, int level = 5);

}  // namespace tessera
