// Masks of GridMask from pixel and object embeddings, bit-packed, at the resolution of the original picture
// (specification, section 3.7). Knows no detector: boxes and vectors come from the caller. No gradient.
#pragma once

#include "engine/core/tensor.h"
#include "kernels/grid_binarize.h"

namespace tessera {

struct GridBinarizeOptions {
  int k = 3;
  float stride = 8.0f;                              // network input pixels per cell of X
  int64_t original_height = 0, original_width = 0;  // of the picture, pixels
  int64_t resized_height = 0, resized_width = 0;    // of the network input, before padding
  // Bytes for all masks; a box that would pass it gets an empty rectangle. 0: exactly as much as the boxes need, for
  // which the plan is read back from the device.
  int64_t capacity = 0;
};

// Bytes that masks of so many boxes take at most: as if each were the whole picture.
int64_t largest_need(int64_t boxes, const GridBinarizeOptions& options);

// One mask per box: `rectangles` holds x, y, width, height of the pixels whose centres lie in the box (0 x 0 where
// there are none); row r of mask j begins at bits[offsets[j] + r * ((width + 7) / 8)], least significant bit first,
// unused bits 0: the layout of BitMask.
struct GridMasks {
  Tensor rectangles;  // i32 [D,4]
  Tensor offsets;     // i64 [D+1]; the last entry is the number of bytes in use
  Tensor bits;        // u8 [capacity]
};

// pixels X [h,w,C] or [1,h,w,C], not normalised, padding included; objects O [D, 2 k k C]: cells row-major, foreground
// then background; boxes f32 [D,4] in pixels of the original picture; valid i32 [1]: boxes in use, undefined: all.
GridMasks grid_binarize(Context& context, const Tensor& pixels, const Tensor& objects, const Tensor& boxes,
                        const Tensor& valid, const GridBinarizeOptions& options);

}  // namespace tessera
