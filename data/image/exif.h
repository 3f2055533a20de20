// EXIF orientation: how a camera was held. detectron2 and most viewers turn the picture accordingly, plain decoders do
// not; annotations are drawn on the turned picture.
#pragma once

#include <cstdint>
#include <span>

#include "data/image/image.h"

namespace tessera {

// Tag 0x112 of the first directory of a TIFF block (after "Exif\0\0" in JPEG, the whole eXIf chunk in PNG), both byte
// orders. 1 (upright) for anything absent, malformed or outside 1..8: broken EXIF is ignored, as detectron2 does.
int exif_orientation(std::span<const uint8_t> tiff);

// Whether rows and columns change places (5..8).
inline bool orientation_swaps_sides(int orientation) { return orientation >= 5 && orientation <= 8; }

// The picture as it is to be seen. 2: mirrored left-right; 3: turned 180 degrees; 4: mirrored top-bottom; 5:
// transposed; 6: turned 90 degrees clockwise; 7: transposed along the other diagonal; 8: turned 90 degrees
// counter-clockwise.
Image apply_orientation(Image image, int orientation);

}  // namespace tessera
