// Double-precision oracle of the grid segmentation loss: eq. (4)-(9) pixel by pixel, no precomputation.
#pragma once

#include <cmath>
#include <vector>

#include "tests/reference/binary_cross_entropy.h"
#include "tests/reference/grid_cells.h"

namespace tessera::reference {

struct GridSegmentationCase {
  int images, height, width, channels, k;
  double alpha, stride, normalizer;
  bool literal_cell_norm;
  std::vector<GridBox> boxes;
  std::vector<int32_t> image_of, mask_of;
  std::vector<uint8_t> masks;  // [*, height, width] in 1/255
};

inline double cosine(const double* a, const double* b, int channels) {
  double dot = 0, aa = 0, bb = 0;
  for (int c = 0; c < channels; ++c) {
    dot += a[c] * b[c];
    aa += a[c] * a[c];
    bb += b[c] * b[c];
  }
  return dot / std::max(std::sqrt(aa) * std::sqrt(bb), 1e-8);
}

inline double grid_segmentation_loss(const GridSegmentationCase& at, const std::vector<double>& pixels,
                                     const std::vector<double>& objects) {
  double total = 0;
  const int cells = at.k * at.k;
  for (size_t j = 0; j < at.boxes.size(); ++j) {
    std::vector<double> sum(static_cast<size_t>(cells), 0);
    std::vector<int> members(static_cast<size_t>(cells), 0);
    for (int v = 0; v < at.height; ++v) {
      for (int u = 0; u < at.width; ++u) {
        const int cell = grid_cell((u + 0.5) * at.stride, (v + 0.5) * at.stride, at.boxes[j], at.k);
        if (cell < 0) continue;
        const size_t place = static_cast<size_t>(v) * at.width + u, map = static_cast<size_t>(at.height) * at.width;
        const double* x = &pixels[(at.image_of[j] * map + place) * at.channels];
        const double* foreground = &objects[(j * cells + cell) * 2 * at.channels];
        const double label = at.masks[at.mask_of[j] * map + place] / 255.0;
        sum[cell] += binary_cross_entropy(at.alpha * cosine(x, foreground, at.channels), label) +
                     binary_cross_entropy(at.alpha * cosine(x, foreground + at.channels, at.channels), 1 - label);
        ++members[cell];
      }
    }
    double box = 0;
    int occupied = 0;
    for (int cell = 0; cell < cells; ++cell) {
      if (members[cell] == 0) continue;
      box += sum[cell] / members[cell];
      ++occupied;
    }
    if (occupied > 0) total += box / (at.literal_cell_norm ? cells : occupied);
  }
  return total / at.normalizer;
}

}  // namespace tessera::reference
