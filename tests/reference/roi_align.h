// Double-precision oracle of roi_align, written from the definition of torchvision.ops.roi_align: sample by sample.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tessera::reference {

struct RoiAlignCase {
  int64_t images, height, width, channels;
  int64_t out_height, out_width;
  double scale;
  int sampling_ratio;
  bool aligned;
  std::vector<std::array<double, 4>> boxes;  // x1, y1, x2, y2
  std::vector<int32_t> image_of;
};

// Value of a channel of the map [H, W, C] between the cells.
inline double sample_map(const double* map, const RoiAlignCase& at, double y, double x, int64_t channel) {
  if (y < -1 || y > static_cast<double>(at.height) || x < -1 || x > static_cast<double>(at.width)) return 0;
  y = std::clamp(y, 0.0, static_cast<double>(at.height - 1));
  x = std::clamp(x, 0.0, static_cast<double>(at.width - 1));
  double sum = 0;
  for (int64_t i = 0; i < at.height; ++i) {
    for (int64_t j = 0; j < at.width; ++j) {
      const double weight = std::max(0.0, 1 - std::abs(y - static_cast<double>(i))) *
                            std::max(0.0, 1 - std::abs(x - static_cast<double>(j)));
      sum += weight * map[(i * at.width + j) * at.channels + channel];
    }
  }
  return sum;
}

inline std::vector<double> roi_align(const RoiAlignCase& at, const std::vector<double>& x) {
  std::vector<double> y;
  for (size_t k = 0; k < at.boxes.size(); ++k) {
    const double shift = at.aligned ? 0.5 : 0;
    const double left = at.boxes[k][0] * at.scale - shift, top = at.boxes[k][1] * at.scale - shift;
    double width = at.boxes[k][2] * at.scale - shift - left, height = at.boxes[k][3] * at.scale - shift - top;
    if (!at.aligned) width = std::max(width, 1.0), height = std::max(height, 1.0);
    const double bin_y = height / static_cast<double>(at.out_height), bin_x = width / static_cast<double>(at.out_width);
    const int rows = at.sampling_ratio > 0 ? at.sampling_ratio : static_cast<int>(std::ceil(bin_y));
    const int columns = at.sampling_ratio > 0 ? at.sampling_ratio : static_cast<int>(std::ceil(bin_x));
    const double* map = x.data() + at.image_of[k] * at.height * at.width * at.channels;
    for (int64_t by = 0; by < at.out_height; ++by) {
      for (int64_t bx = 0; bx < at.out_width; ++bx) {
        for (int64_t channel = 0; channel < at.channels; ++channel) {
          double sum = 0;
          for (int i = 0; i < rows; ++i) {
            for (int j = 0; j < columns; ++j) {
              sum += sample_map(map, at, top + (static_cast<double>(by) + (i + 0.5) / rows) * bin_y,
                                left + (static_cast<double>(bx) + (j + 0.5) / columns) * bin_x, channel);
            }
          }
          y.push_back(sum / std::max(1, rows * columns));
        }
      }
    }
  }
  return y;
}

}  // namespace tessera::reference
