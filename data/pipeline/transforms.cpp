#include "data/pipeline/transforms.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "data/image/resize.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

// Calls visit(output index, resized y, resized x) for every output pixel of columns [x_begin, x_end) and rows
// [y_begin, y_end).
template <typename Visit>
void for_output_pixels(const SampleGeometry& g, int y_begin, int y_end, int x_begin, int x_end, Visit visit) {
  for (int y = y_begin; y < y_end; ++y)
    for (int x = x_begin; x < x_end; ++x) {
      int row = g.transposes ? x : y, column = g.transposes ? y : x;
      if (g.flips_horizontally) column = g.resized_width - 1 - column;
      if (g.flips_vertically) row = g.resized_height - 1 - row;
      visit(size_t(y) * g.output_width() + x, row, column);
    }
}

std::pair<double, double> transform_point(double x, double y, const SampleGeometry& g) {
  x = (x - g.crop_x) * (double(g.resized_width) / g.crop_width);
  y = (y - g.crop_y) * (double(g.resized_height) / g.crop_height);
  if (g.flips_horizontally) x = g.resized_width - x;
  if (g.flips_vertically) y = g.resized_height - y;
  if (g.transposes) std::swap(x, y);
  return {x, y};
}

Image crop_image(const Image& image, const SampleGeometry& g) {
  Image cropped(g.crop_height, g.crop_width);
  for (int y = 0; y < g.crop_height; ++y)
    std::memcpy(cropped.at(y, 0), image.at(g.crop_y + y, g.crop_x), size_t(g.crop_width) * 3);
  return cropped;
}

}  // namespace

SampleGeometry plain_geometry(int height, int width, const Preprocessing& preprocessing) {
  SampleGeometry g{.original_height = height, .original_width = width, .crop_height = height, .crop_width = width};
  std::tie(g.resized_height, g.resized_width) = network_size(preprocessing, height, width);
  return g;
}

SampleGeometry draw_geometry(Rng& rng, int height, int width, const Preprocessing& preprocessing,
                             const Augmentation& augmentation) {
  SampleGeometry g{.original_height = height, .original_width = width, .crop_height = height, .crop_width = width};
  const uint32_t short_side_draw = rng.bits();
  const bool crops = rng.uniform() < augmentation.crop;
  const float crop_draws[4] = {rng.uniform(), rng.uniform(), rng.uniform(), rng.uniform()};
  g.flips_horizontally = rng.uniform() < augmentation.horizontal_flip;
  g.flips_vertically = rng.uniform() < augmentation.vertical_flip;
  g.transposes = rng.uniform() < augmentation.transpose;

  if (crops) {
    const auto side = [&](int whole, float draw) {
      return std::clamp(int(whole * (augmentation.crop_least + (1 - augmentation.crop_least) * draw) + 0.5f), 1, whole);
    };
    g.crop_height = side(height, crop_draws[0]);
    g.crop_width = side(width, crop_draws[1]);
    g.crop_y = std::min(int(crop_draws[2] * float(height - g.crop_height + 1)), height - g.crop_height);
    g.crop_x = std::min(int(crop_draws[3] * float(width - g.crop_width + 1)), width - g.crop_width);
  }
  int short_side = preprocessing.short_side;
  if (!augmentation.short_sides.empty()) {
    const uint64_t choices = augmentation.short_sides.size();
    short_side = augmentation.short_sides[short_side_draw * choices >> 32];
  } else if (augmentation.max_short_side > 0) {
    const int least = std::min(std::max(augmentation.min_short_side, 1), augmentation.max_short_side);
    const uint64_t choices = uint64_t(augmentation.max_short_side - least + 1);
    short_side = least + int(short_side_draw * choices >> 32);
  } else if (short_side == 0) {
    short_side = std::min(height, width);  // of the whole picture: a crop is enlarged to the picture's size
  }
  std::tie(g.resized_height, g.resized_width) = network_size(preprocessing, g.crop_height, g.crop_width, short_side);
  return g;
}

ColorChange draw_color_change(Rng& rng, const Augmentation& augmentation) {
  ColorChange change;
  change.brightness = augmentation.brightness * rng.uniform(-1, 1);
  change.contrast = 1 + augmentation.contrast * rng.uniform(-1, 1);
  for (float& gain : change.gain) gain = 1 + augmentation.channel_gain * rng.uniform(-1, 1);
  return change;
}

Image transform_image(const Image& image, const SampleGeometry& g) {
  TESSERA_CHECK(image.height == g.original_height && image.width == g.original_width, "picture {}x{}, geometry {}x{}",
                image.height, image.width, g.original_height, g.original_width);
  Image resized = resize_bilinear(g.is_cropped() ? crop_image(image, g) : image, g.resized_height, g.resized_width);
  if (!g.flips_horizontally && !g.flips_vertically && !g.transposes) return resized;
  Image turned(g.output_height(), g.output_width());
  for_output_pixels(g, 0, turned.height, 0, turned.width, [&](size_t index, int row, int column) {
    const uint8_t* source = resized.at(row, column);
    uint8_t* target = &turned.pixels[index * 3];
    target[0] = source[0], target[1] = source[1], target[2] = source[2];
  });
  return turned;
}

Box transform_box(const Box& box, const SampleGeometry& g) {
  const auto [xa, ya] = transform_point(box.x1, box.y1, g);
  const auto [xb, yb] = transform_point(box.x2, box.y2, g);
  const auto clip = [](double v, int limit) { return float(std::clamp(v, 0.0, double(limit))); };
  if (box.empty()) return {};
  return {clip(std::min(xa, xb), g.output_width()), clip(std::min(ya, yb), g.output_height()),
          clip(std::max(xa, xb), g.output_width()), clip(std::max(ya, yb), g.output_height())};
}

std::vector<double> transform_polygon(std::span<const double> points, const SampleGeometry& g) {
  std::vector<double> result;
  result.reserve(points.size());
  for (size_t i = 0; i + 1 < points.size(); i += 2) {
    const auto [x, y] = transform_point(points[i], points[i + 1], g);
    result.push_back(x);
    result.push_back(y);
  }
  return result;
}

Bitmap transform_mask(const Bitmap& mask, const SampleGeometry& g) {
  TESSERA_CHECK(mask.height == g.original_height && mask.width == g.original_width, "mask {}x{}, geometry {}x{}",
                mask.height, mask.width, g.original_height, g.original_width);
  const auto sources = [](int crop_start, int crop_side, int resized) {
    std::vector<int> indices(resized);
    for (int i = 0; i < resized; ++i)
      indices[i] = crop_start + std::min(int((int64_t(2) * i + 1) * crop_side / (int64_t(2) * resized)), crop_side - 1);
    return indices;
  };
  const std::vector<int> rows = sources(g.crop_y, g.crop_height, g.resized_height);
  const std::vector<int> columns = sources(g.crop_x, g.crop_width, g.resized_width);
  Bitmap result{g.output_height(), g.output_width(), {}};
  result.pixels.resize(size_t(result.height) * result.width);
  // Most masks are small: only the pixels around the object are visited, one more on each side for rounding.
  const Box part = transform_box(tight_box(mask), g);
  if (part.empty()) return result;
  const int y_begin = std::max(0, int(part.y1) - 1), y_end = std::min(result.height, int(part.y2) + 2);
  const int x_begin = std::max(0, int(part.x1) - 1), x_end = std::min(result.width, int(part.x2) + 2);
  for_output_pixels(g, y_begin, y_end, x_begin, x_end, [&](size_t index, int row, int column) {
    result.pixels[index] = mask.pixels[size_t(rows[row]) * mask.width + columns[column]];
  });
  return result;
}

Box tight_box(const Bitmap& mask) {
  int x1 = mask.width, y1 = mask.height, x2 = 0, y2 = 0;
  for (int y = 0; y < mask.height; ++y) {
    const uint8_t* row = mask.pixels.data() + size_t(y) * mask.width;
    const uint8_t* end = row + mask.width;
    const uint8_t* first = std::find_if(row, end, [](uint8_t v) { return v != 0; });
    if (first == end) continue;
    int last = mask.width - 1;
    while (!row[last]) --last;
    x1 = std::min(x1, int(first - row)), x2 = std::max(x2, last + 1), y1 = std::min(y1, y), y2 = y + 1;
  }
  return x2 > x1 ? Box{float(x1), float(y1), float(x2), float(y2)} : Box{};
}

void normalize_into(const Image& image, const Preprocessing& preprocessing, const ColorChange& change, float* out,
                    int row_width) {
  // All of it is a function of one 8-bit sample: a table for each channel of the network.
  std::array<std::array<float, 256>, 3> table;
  std::array<int, 3> source{};
  for (int c = 0; c < 3; ++c) {
    source[c] = preprocessing.order == ChannelOrder::rgb ? c : 2 - c;
    for (int v = 0; v < 256; ++v) {
      const float changed =
          ((float(v) - 127.5f) * change.contrast + 127.5f + change.brightness) * change.gain[source[c]];
      table[c][v] = (std::clamp(changed, 0.f, 255.f) - preprocessing.mean[c]) / preprocessing.deviation[c];
    }
  }
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* pixel = image.at(y, 0);
    float* target = out + size_t(y) * row_width * 3;
    for (int x = 0; x < image.width; ++x, pixel += 3, target += 3)
      for (int c = 0; c < 3; ++c) target[c] = table[c][pixel[source[c]]];
  }
}

PreparedImage prepare_image(const Image& image, const Preprocessing& preprocessing) {
  const SampleGeometry g = plain_geometry(image.height, image.width, preprocessing);
  PreparedImage prepared;
  prepared.height = padded_side(preprocessing, g.resized_height);
  prepared.width = padded_side(preprocessing, g.resized_width);
  prepared.geometry = {image.height, image.width, g.resized_height, g.resized_width};
  prepared.values.assign(size_t(prepared.height) * prepared.width * 3, 0.f);
  normalize_into(transform_image(image, g), preprocessing, {}, prepared.values.data(), prepared.width);
  return prepared;
}

}  // namespace tessera
