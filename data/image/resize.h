// Resizing as the published models were trained: Pillow's bilinear filter on 8-bit samples (a triangle whose support
// grows with the reduction, so that shrinking averages), agreeing with Pillow to the bit; and detectron2's size rule.
#pragma once

#include <utility>

#include "data/image/image.h"

namespace tessera {

// The result does not depend on `threads`. Sides of the target must be at least 1.
Image resize_bilinear(const Image& image, int height, int width, int threads = 1);

// {height, width}: the short side becomes `short_side`, or less where the long side would exceed `max_side` (0: no
// cap). Sides round half up, int(x + 0.5), and are at least 1 (detectron2 ResizeShortestEdge; specification 2.6).
std::pair<int, int> resized_size(int height, int width, int short_side, int max_side);

}  // namespace tessera
