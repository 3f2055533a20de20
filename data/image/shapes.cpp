#include "data/image/shapes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tessera {
namespace {

// Signed distance from a point to the outline of a box with round corners, negative inside.
float rounded_box_distance(const Box& box, float radius, float x, float y) {
  const float half_width = box.width() / 2, half_height = box.height() / 2;
  const float r = std::min({radius, half_width, half_height});
  const float dx = std::abs(x - box.x1 - half_width) - half_width + r;
  const float dy = std::abs(y - box.y1 - half_height) - half_height + r;
  return std::hypot(std::max(dx, 0.f), std::max(dy, 0.f)) + std::min(std::max(dx, dy), 0.f) - r;
}

template <typename Cover>
void for_pixels_around(Image& image, const Box& box, float margin, Rgb color, Cover cover) {
  const int x_begin = std::max(0, int(std::floor(box.x1 - margin))),
            y_begin = std::max(0, int(std::floor(box.y1 - margin)));
  const int x_end = std::min(image.width, int(std::ceil(box.x2 + margin)));
  const int y_end = std::min(image.height, int(std::ceil(box.y2 + margin)));
  for (int y = y_begin; y < y_end; ++y)
    for (int x = x_begin; x < x_end; ++x) {
      const float share = cover(x + 0.5f, y + 0.5f);
      if (share > 0) blend(image, y, x, color, share);
    }
}

}  // namespace

void fill_rectangle(Image& image, const Box& box, Rgb color, float opacity, float corner_radius) {
  for_pixels_around(image, box, 1, color, [&](float x, float y) {
    return opacity * std::clamp(0.5f - rounded_box_distance(box, corner_radius, x, y), 0.f, 1.f);
  });
}

void draw_rectangle(Image& image, const Box& box, Rgb color, float line_width, float opacity, float corner_radius) {
  for_pixels_around(image, box, line_width + 1, color, [&](float x, float y) {
    const float distance = std::abs(rounded_box_distance(box, corner_radius, x, y));
    return opacity * std::clamp(line_width / 2 + 0.5f - distance, 0.f, 1.f);
  });
}

void paste(Image& image, const Image& source, int y, int x) {
  const int x_begin = std::max(0, -x), x_end = std::min(source.width, image.width - x);
  if (x_end <= x_begin) return;
  for (int row = std::max(0, -y); row < std::min(source.height, image.height - y); ++row)
    std::memcpy(image.at(y + row, x + x_begin), source.at(row, x_begin), size_t(x_end - x_begin) * 3);
}

}  // namespace tessera
