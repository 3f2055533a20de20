// JPEG through libjpeg-turbo, with the checks it leaves to its caller: size before memory, complete or cut, EXIF.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/image/format.h"
#include "data/image/image.h"

namespace tessera {

// Walks the markers. Throws DecodeFailure where there is no usable frame header (cut inside it, height 0, ...).
// is_truncated: the file ends before the last scan has begun; a cut inside a scan shows only when decoding.
PictureHeader read_jpeg_header(std::span<const uint8_t> bytes);

// All of baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK (Adobe's inverted inks, composed on black as PIL
// does). Damage that the decoder works round is appended to `damage`; a cut picture throws DecodeFailure.
Image decode_jpeg(std::span<const uint8_t> bytes, const PictureHeader& header, std::vector<std::string>& damage);

// quality 1..100; chroma at full resolution, so that thin coloured lines and letters stay clean.
std::vector<uint8_t> encode_jpeg(const Image& image, int quality = 92);

}  // namespace tessera
