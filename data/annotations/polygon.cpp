#include "data/annotations/polygon.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/error.h"

namespace tessera {
namespace {

constexpr int kGrid = 5;  // sub-pixel steps per pixel

int to_grid(double coordinate) { return static_cast<int>(kGrid * coordinate + .5); }  // towards zero, as C converts

int floor_divide(int value, int divisor) { return value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor); }

// Collects where scan columns cross the contour. Contour points come one after the other on the fifth grid; between two
// with different u the contour passes one grid column, and every fifth grid column is the centre line of a pixel
// column.
class Crossings {
 public:
  Crossings(int height, int width) : height_(height), width_(width) {}

  void point(int u, int v) {
    if (started_ && u != u_) {
      const int column = std::min(u, u_);  // between column and column + 1: pixel centre if column = 5 x + 2
      if (column >= 2 && (column - 2) % kGrid == 0 && (column - 2) / kGrid < width_) {
        const int x = (column - 2) / kGrid;
        const int y = std::clamp(floor_divide(std::min(v, v_) + 2, kGrid), 0, height_);  // first centre at or below
        positions_.push_back(static_cast<uint32_t>(x) * static_cast<uint32_t>(height_) + static_cast<uint32_t>(y));
      }
    }
    started_ = true;
    u_ = u;
    v_ = v;
  }
  Rle finish() {
    const uint32_t total = static_cast<uint32_t>(height_) * static_cast<uint32_t>(width_);
    std::sort(positions_.begin(), positions_.end());
    // Crossings at the same place cancel in pairs (even-odd rule); so does one at the very end of the image.
    std::vector<uint32_t> counts;
    uint32_t previous = 0;
    for (size_t i = 0; i < positions_.size();) {
      size_t same = i + 1;
      while (same < positions_.size() && positions_[same] == positions_[i]) ++same;
      if ((same - i) % 2 == 1 && positions_[i] < total) {
        counts.push_back(positions_[i] - previous);
        previous = positions_[i];
      }
      i = same;
    }
    counts.push_back(total - previous);
    return {height_, width_, std::move(counts)};
  }

 private:
  int height_, width_;
  bool started_ = false;
  int u_ = 0, v_ = 0;
  std::vector<uint32_t> positions_;
};

// All grid points of the edge, from its first end to its second. The minor coordinate is computed from the end with the
// smaller major one, so that an edge gives the same points in both directions.
void draw_edge(int x_from, int y_from, int x_to, int y_to, Crossings& crossings) {
  const int dx = std::abs(x_to - x_from), dy = std::abs(y_to - y_from);
  if (dx == 0 && dy == 0) {
    crossings.point(x_from, y_from);
    return;
  }
  const bool along_x = dx >= dy;
  const bool backwards = along_x ? x_from > x_to : y_from > y_to;
  if (backwards) {
    std::swap(x_from, x_to);
    std::swap(y_from, y_to);
  }
  const int steps = along_x ? dx : dy;
  const double slope = along_x ? static_cast<double>(y_to - y_from) / dx : static_cast<double>(x_to - x_from) / dy;
  for (int i = 0; i <= steps; ++i) {
    const int t = backwards ? steps - i : i;
    if (along_x) {
      crossings.point(t + x_from, static_cast<int>(y_from + slope * t + .5));
    } else {
      crossings.point(static_cast<int>(x_from + slope * t + .5), t + y_from);
    }
  }
}

}  // namespace

double polygon_extent(std::span<const double> points) {
  double extent = 0;
  for (double value : points) {
    if (!std::isfinite(value)) return std::numeric_limits<double>::infinity();
    extent = std::max(extent, std::abs(value));
  }
  return extent;
}

Rle rle_from_polygon(std::span<const double> points, int height, int width) {
  TESSERA_CHECK(height > 0 && width > 0 && int64_t{height} * width < int64_t{1} << 32, "image of {} x {}", height,
                width);
  if (const double extent = polygon_extent(points); extent > kMaxPolygonCoordinate) {
    throw Error(ExitCode::data, fmt::format("polygon coordinate {} is beyond {}", extent, kMaxPolygonCoordinate));
  }
  Crossings crossings(height, width);
  const size_t corners = points.size() / 2;
  for (size_t i = 0; i < corners; ++i) {
    const size_t next = i + 1 < corners ? i + 1 : 0;
    draw_edge(to_grid(points[2 * i]), to_grid(points[2 * i + 1]), to_grid(points[2 * next]),
              to_grid(points[2 * next + 1]), crossings);
  }
  return crossings.finish();
}

Rle rle_from_polygons(const std::vector<std::vector<double>>& polygons, int height, int width) {
  std::vector<Rle> parts;
  parts.reserve(polygons.size());
  for (const auto& polygon : polygons) parts.push_back(rle_from_polygon(polygon, height, width));
  if (parts.empty()) parts.push_back(rle_from_polygon({}, height, width));
  return rle_merge(parts, RleMerge::unite);
}

Rle rle_from_box(const BoxXywh& box, int height, int width) {
  const double right = box.x + box.w, bottom = box.y + box.h;
  const double corners[] = {box.x, box.y, box.x, bottom, right, bottom, right, box.y};
  return rle_from_polygon(corners, height, width);
}

double polygon_area(std::span<const double> points) {
  const size_t corners = points.size() / 2;
  double twice = 0;
  for (size_t i = 0; i < corners; ++i) {
    const size_t next = i + 1 < corners ? i + 1 : 0;
    twice += points[2 * i] * points[2 * next + 1] - points[2 * next] * points[2 * i + 1];
  }
  return std::abs(twice) / 2;
}

BoxXywh polygon_box(std::span<const double> points) {
  if (points.size() < 2) return {};
  double left = points[0], right = points[0], top = points[1], bottom = points[1];
  for (size_t i = 2; i + 1 < points.size(); i += 2) {
    left = std::min(left, points[i]);
    right = std::max(right, points[i]);
    top = std::min(top, points[i + 1]);
    bottom = std::max(bottom, points[i + 1]);
  }
  return {left, top, right - left, bottom - top};
}

}  // namespace tessera
