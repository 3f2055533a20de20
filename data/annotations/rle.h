// Run-length masks as COCO defines them, and the arithmetic on them. Agrees with pycocotools 2.0.11 (maskApi.c): runs
// are counted down the columns (pixel index = x * height + y) and alternate background, foreground, starting with
// background.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/annotations/annotations.h"

namespace tessera {

struct Rle {
  int height = 0;
  int width = 0;
  std::vector<uint32_t> counts;  // sum to height * width; zeros: the first one, and in files any

  bool operator==(const Rle&) const = default;
};

// A box as COCO files have it: upper left corner and extent, continuous pixel coordinates.
struct BoxXywh {
  double x = 0, y = 0, w = 0, h = 0;

  bool operator==(const BoxXywh&) const = default;
};

// Masks of bytes, non-zero = foreground. column_major: [width][height], row_major: [height][width].
Rle rle_encode_column_major(const uint8_t* pixels, int height, int width);
Rle rle_encode_row_major(const uint8_t* pixels, int height, int width);
Rle rle_encode(const Bitmap& mask);
// Rectangle (x, y, width, height) of one bit a pixel, least significant bit first, rows `row_bytes` apart, that lies
// inside an image of image_height x image_width; the rest of the image is background. Bits of a row past `width` are
// ignored. Time is proportional to the words of the rectangle plus the length of the contour.
struct BitRectangle {
  const uint8_t* bits = nullptr;
  int row_bytes = 0;
  int x = 0, y = 0, width = 0, height = 0;
};
Rle rle_encode_bits(const BitRectangle& rectangle, int image_height, int image_width);
Rle rle_encode(const BitMask& mask, int image_height, int image_width);
Bitmap rle_decode(const Rle& rle);

// The compressed string of COCO files: differences to the run two back in groups of five bits, characters '0'..'o'.
std::string rle_to_string(const Rle& rle);
// Inverse. Throws Error(data) with the reason (no file name: the caller knows it) on a foreign character, an unfinished
// or overlong number, a negative run, or runs that do not sum to height * width.
Rle rle_from_string(std::string_view text, int height, int width);
// Throws Error(data) unless the extents are positive, height * width < 2^32 and the counts sum to it.
void rle_validate(const Rle& rle);

enum class RleMerge { unite, intersect };
// All masks must have one size, else Error(data). No mask at all gives an empty one of 0 x 0.
Rle rle_merge(std::span<const Rle> masks, RleMerge mode);
uint32_t rle_area(const Rle& rle);
// Tight box in whole pixels; all zero for an empty mask.
BoxXywh rle_box(const Rle& rle);

// Pixels that both masks cover. Throws Error(data) where sizes differ.
uint64_t rle_intersection(const Rle& a, const Rle& b);
// Intersection over union; with `crowd` the divisor is the area of `detection` alone (a crowd region may hold many
// objects). 0 where nothing intersects. Throws Error(data) where sizes differ.
double rle_iou(const Rle& detection, const Rle& truth, bool crowd);
double box_iou(const BoxXywh& detection, const BoxXywh& truth, bool crowd);

}  // namespace tessera
