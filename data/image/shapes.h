// Anti-aliased rectangles for chips, frames and charts; coordinates are continuous pixels, clipped at the borders.
#pragma once

#include "data/annotations/annotations.h"
#include "data/image/image.h"

namespace tessera {

// Filled, with round corners; opacity 0..1.
void fill_rectangle(Image& image, const Box& box, Rgb color, float opacity = 1, float corner_radius = 0);
// Outline of the given line width, centred on the edge.
void draw_rectangle(Image& image, const Box& box, Rgb color, float line_width, float opacity = 1,
                    float corner_radius = 0);
// Copies `source` with its upper left corner at (y, x).
void paste(Image& image, const Image& source, int y, int x);

}  // namespace tessera
