// Text without a font file: glyphs are strokes (data/image/glyphs.h), drawn anti-aliased at any size.
#pragma once

#include <string>
#include <string_view>

#include "data/image/image.h"

namespace tessera {

// size: height of a capital letter in pixels, 6 and up are readable. UTF-8 beyond ASCII appears as a small box.
// Width of the inked text and the height of a line (from the top of '(' to the bottom of 'g').
float text_width(std::string_view text, float size);
float text_line_height(float size);

// (x, y): left end of the baseline. Clipped at the borders. weight 1: regular, 1.35: bold.
void draw_text(Image& image, std::string_view text, float x, float y, float size, Rgb color, float weight = 1);

// The text, or its beginning and three dots where it is wider than `width` pixels.
std::string fit_text(std::string_view text, float size, float width);

}  // namespace tessera
