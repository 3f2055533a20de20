// Masks from embeddings (GridMask, inference). For the pixel (x, y) of the original picture inside a box, in cell i:
//   u = (x + .5) (resized width / original width) / stride - .5, clamped to [0, width - 1]; v likewise
//   bit = cos(X(u, v), F_i) > cos(X(u, v), B_i),  X(u, v) bilinear
// The norm of X cancels, so the bit is X(u, v) . D_i > 0 with D_i = F_i/|F_i| - B_i/|B_i|; and as interpolation is
// linear, the map is scored first and the score interpolated:
//   bit = bilinear(X . D_i)(u, v) > 0
// Where the four corners of an interpolation agree in sign, so do all bits between them. A picture of 800 x 1088 with
// 100 boxes of a tenth of its area, C = 16, k = 3: 3 M multiply-adds in place of 600 M, 1 MB written.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

// Rectangle of pixels whose centres lie in a box.
struct PixelRectangle {
  int32_t x, y, width, height;

  constexpr int64_t row_bytes() const { return (int64_t{width} + 7) / 8; }
};

struct GridBinarizePlanArgs {
  const float* boxes;          // [count, 4] x1 y1 x2 y2, pixels of the original picture
  const int32_t* valid;        // [1] boxes in use, or null: all
  PixelRectangle* rectangles;  // [count]; empty for boxes not in use, without pixels, or that do not fit
  int64_t* offsets;            // [count + 1] first byte of each mask; the last entry is the total
  int64_t count;
  int64_t original_height, original_width;
  int64_t capacity;  // bytes; a box that would pass it gets no pixels. Negative: no limit
};

struct GridBinarizeArgs {
  const float* pixels;               // X [height, width, channels]
  const float* objects;              // O [count, k * k, 2, channels]: cells row-major, foreground then background
  const float* boxes;                // as above
  const PixelRectangle* rectangles;  // from the plan
  const int64_t* offsets;            // from the plan
  // Rows of whole bytes, least significant bit first, unused bits 0; row r of box j begins at
  // offsets[j] + r * rectangles[j].row_bytes(). Bytes between masks are not defined.
  uint8_t* bits;
  int64_t height, width, channels, count;
  int64_t original_height, original_width, resized_height, resized_width;  // pixels; resized: before padding
  int k;
  float stride;  // network input pixels per cell of X
};

TESSERA_KERNEL(grid_binarize_plan, GridBinarizePlanArgs);
TESSERA_KERNEL(grid_binarize, GridBinarizeArgs);

}  // namespace tessera
