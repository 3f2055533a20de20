// Compression in the zlib format (RFC 1950, 1951): one pass of matching, dynamic Huffman codes. Made for pictures:
// about as small as common encoders at their middle setting, several times faster than stb_image_write.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

std::vector<uint8_t> zlib_compress(std::span<const uint8_t> bytes);

}  // namespace tessera
