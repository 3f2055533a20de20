// Double-precision oracle of grid binarization: X is interpolated at every pixel and compared with the two vectors of
// its cell by cosine, as the paper says it; nothing is shared between pixels.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/reference/grid_cells.h"

namespace tessera::reference {

struct BinarizeCase {
  int height, width, channels, k;  // of X
  double stride;
  int original_height, original_width, resized_height, resized_width;
  std::vector<double> pixels;  // [height, width, channels]
};

struct BinarizedPixel {
  bool inside = false, bit = false;
  double margin = 0;  // X . (F/|F| - B/|B|): its sign is the bit
};

// objects: [k * k, 2, channels] of the box.
inline BinarizedPixel binarize_pixel(const BinarizeCase& at, const double* objects, const GridBox& box, int x, int y) {
  const int cell = grid_cell(x + 0.5, y + 0.5, box, at.k);
  if (cell < 0) return {};
  const auto place = [&](int pixel, int resized, int original, int extent) {
    const double input = (pixel + 0.5) * resized / original;
    return std::clamp(input / at.stride - 0.5, 0.0, extent - 1.0);
  };
  const double u = place(x, at.resized_width, at.original_width, at.width);
  const double v = place(y, at.resized_height, at.original_height, at.height);
  const int left = static_cast<int>(std::floor(u)), top = static_cast<int>(std::floor(v));
  const int right = std::min(left + 1, at.width - 1), bottom = std::min(top + 1, at.height - 1);
  const double across = u - left, down = v - top;
  const double* foreground = objects + cell * 2 * at.channels;
  const double* background = foreground + at.channels;
  double to_foreground = 0, to_background = 0, foreground_square = 0, background_square = 0, square = 0;
  for (int c = 0; c < at.channels; ++c) {
    const auto value = [&](int row, int column) {
      return at.pixels[(static_cast<size_t>(row) * at.width + column) * at.channels + c];
    };
    const double e = (1 - down) * ((1 - across) * value(top, left) + across * value(top, right)) +
                     down * ((1 - across) * value(bottom, left) + across * value(bottom, right));
    to_foreground += e * foreground[c];
    to_background += e * background[c];
    foreground_square += foreground[c] * foreground[c];
    background_square += background[c] * background[c];
    square += e * e;
  }
  const auto cosine = [&](double dot, double other) { return dot / std::max(std::sqrt(square * other), 1e-8); };
  const auto unit = [](double dot, double other) { return other > 0 ? dot / std::sqrt(other) : 0; };
  return {true, cosine(to_foreground, foreground_square) > cosine(to_background, background_square),
          unit(to_foreground, foreground_square) - unit(to_background, background_square)};
}

}  // namespace tessera::reference
