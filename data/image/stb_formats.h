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
// The samples of a grey PNG of 16 bits as they are, row-major. Throws DecodeFailure.
std::vector<uint16_t> decode_gray16_with_stb(std::span<const uint8_t> bytes, const PictureHeader& header);

}  // namespace tessera
