#include "data/image/draw.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/image/palette.h"
#include "data/image/resize.h"
#include "data/image/shapes.h"
#include "data/image/text.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

// Sizes of everything drawn, in output pixels.
struct Measures {
  float line_width, letters, blur;
};

Measures measures_for(const Image& canvas, int magnify) {
  const float side = std::sqrt(float(canvas.height) * float(canvas.width));
  Measures m;
  m.line_width = std::clamp(side / 360, 1.2f, 5.f);
  m.letters = std::clamp(side / 68, 7.5f, 26.f);
  m.blur = std::max(0.55f * float(magnify), 0.42f * m.line_width);  // hides the steps of the mask's pixels
  return m;
}

// A smooth field over a rectangle of the canvas: the mask, blurred. Its half-level line is the contour, and the
// distance to it follows from the level as for a straight edge.
struct Field {
  int x = 0, y = 0, width = 0, height = 0;
  std::vector<float> level;  // [height * width], 0..1
};

void blur_lines(std::vector<float>& data, int lines, int length, int line_stride, int step,
                std::span<const float> kernel) {
  const int radius = int(kernel.size()) - 1;
  std::vector<float> line(size_t(length) + 2 * radius, 0.f);
  for (int i = 0; i < lines; ++i) {
    float* start = &data[size_t(i) * line_stride];
    for (int k = 0; k < length; ++k) line[radius + k] = start[size_t(k) * step];
    for (int k = 0; k < length; ++k) {
      float sum = kernel[0] * line[radius + k];
      for (int r = 1; r <= radius; ++r) sum += kernel[r] * (line[radius + k - r] + line[radius + k + r]);
      start[size_t(k) * step] = sum;
    }
  }
}

Field smooth_field(const BitMask& mask, int magnify, float blur) {
  const int margin = int(std::ceil(3 * blur)) + 2;
  Field field{mask.x * magnify - margin,
              mask.y * magnify - margin,
              mask.width * magnify + 2 * margin,
              mask.height * magnify + 2 * margin,
              {}};
  field.level.assign(size_t(field.width) * field.height, 0.f);
  for (int y = 0; y < mask.height * magnify; ++y)
    for (int x = 0; x < mask.width * magnify; ++x)
      field.level[size_t(y + margin) * field.width + x + margin] = mask.at(y / magnify, x / magnify);
  std::vector<float> kernel(size_t(std::ceil(3 * blur)) + 1);
  for (size_t i = 0; i < kernel.size(); ++i) kernel[i] = std::exp(-0.5f * float(i * i) / (blur * blur));
  const float sum = 2 * std::accumulate(kernel.begin(), kernel.end(), 0.f) - kernel[0];
  for (float& weight : kernel) weight /= sum;
  blur_lines(field.level, field.height, field.width, field.width, 1, kernel);
  blur_lines(field.level, field.width, field.height, 1, field.width, kernel);
  return field;
}

// Calls visit(canvas y, canvas x, signed distance to the contour in pixels, positive inside) where that is above
// -reach.
template <typename Visit>
void for_field(const Image& canvas, const Field& field, float blur, Visit visit) {
  for (int y = std::max(0, -field.y); y < std::min(field.height, canvas.height - field.y); ++y)
    for (int x = std::max(0, -field.x); x < std::min(field.width, canvas.width - field.x); ++x) {
      const float level = field.level[size_t(y) * field.width + x];
      if (level < 0.004f) continue;
      // Inverse of the normal distribution function by its logistic approximation.
      const float inside = std::clamp(level, 0.004f, 0.996f);
      visit(y + field.y, x + field.x, blur * std::log(inside / (1 - inside)) / 1.702f);
    }
}

// Class and score. In a crowd of one class its name says nothing and would hide a lot: only the score is left, or no
// chip.
std::string chip_text(const OverlayObject& object, size_t objects, const OverlayOptions& options) {
  constexpr size_t crowd = 8;
  const std::string score = object.score >= 0 ? fmt::format("{:.2f}", object.score) : "";
  if (options.names.size() == 1 && objects > crowd) return score;
  const bool is_named = object.label >= 0 && object.label < int(options.names.size());
  const std::string name = is_named ? options.names[object.label] : fmt::format("{}", object.label);
  return score.empty() ? name : name + " " + score;
}

bool overlaps(const Box& a, const Box& b) { return a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2; }

// The middle of the uppermost row of the object, in pixels of the picture: what a chip points at. Corners of boxes can
// be far from the object itself.
std::pair<float, float> summit(const OverlayObject& object) {
  if (!object.has_mask || object.mask.height == 0) return {(object.box.x1 + object.box.x2) / 2, object.box.y1};
  int first = object.mask.width, last = 0;
  for (int x = 0; x < object.mask.width; ++x)
    if (object.mask.at(0, x)) first = std::min(first, x), last = x + 1;
  return {float(object.mask.x) + float(first + last) / 2, float(object.mask.y)};
}

// Where a chip of this size goes: above the object, just inside it, below it, over its middle; the first place that is
// inside the picture and free. All in canvas pixels.
bool place_chip(const Image& canvas, const Box& object, std::pair<float, float> top, float width, float height,
                float gap, const std::vector<Box>& taken, Box& chip) {
  const auto centered = [&](float x) {
    return std::clamp(x - width / 2, 0.f, std::max(0.f, float(canvas.width) - width));
  };
  const float middle = (object.x1 + object.x2) / 2;
  const std::pair<float, float> corners[] = {{centered(top.first), top.second - height - gap},
                                             {centered(top.first), top.second + 2 * gap},
                                             {centered(middle), object.y2 + gap},
                                             {centered(middle), (object.y1 + object.y2 - height) / 2}};
  for (const auto& [x, y] : corners) {
    chip = {x, y, x + width, y + height};
    if (y < 0 || chip.y2 > float(canvas.height)) continue;
    if (std::none_of(taken.begin(), taken.end(), [&](const Box& other) { return overlaps(chip, other); })) return true;
  }
  return false;
}

}  // namespace

BitMask pack_mask(const Bitmap& mask) {
  int x1 = mask.width, y1 = mask.height, x2 = 0, y2 = 0;
  for (int y = 0; y < mask.height; ++y)
    for (int x = 0; x < mask.width; ++x)
      if (mask.at(y, x)) x1 = std::min(x1, x), x2 = std::max(x2, x + 1), y1 = std::min(y1, y), y2 = y + 1;
  BitMask packed;
  if (x2 <= x1) return packed;
  packed.x = x1, packed.y = y1, packed.width = x2 - x1, packed.height = y2 - y1;
  packed.bits.assign(size_t(packed.row_bytes()) * packed.height, 0);
  for (int y = y1; y < y2; ++y)
    for (int x = x1; x < x2; ++x)
      if (mask.at(y, x)) packed.bits[size_t(y - y1) * packed.row_bytes() + (x - x1) / 8] |= uint8_t(1 << (x - x1) % 8);
  return packed;
}

OverlayObject overlay_object(const Detection& detection) {
  return {detection.box, detection.label, detection.score, detection.has_mask, detection.mask};
}

OverlayObject overlay_object(const ObjectTarget& target) {
  return {target.box, target.label, -1, true, pack_mask(target.mask)};
}

Image draw_overlay(const Image& picture, std::span<const OverlayObject> objects, const OverlayOptions& options) {
  const int magnify = std::max(1, options.magnify);
  Image canvas = magnify > 1 ? resize_bilinear(picture, picture.height * magnify, picture.width * magnify) : picture;
  const Measures measures = measures_for(canvas, magnify);
  const auto color_of = [&](size_t i) { return palette_color(options.color_by_class ? objects[i].label : int(i)); };
  const auto on_canvas = [&](const Box& box) {
    return Box{box.x1 * magnify, box.y1 * magnify, box.x2 * magnify, box.y2 * magnify};
  };

  // Large objects first, so that small ones lie on top; fills before contours, so that no contour is veiled.
  std::vector<size_t> order(objects.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return objects[a].box.area() > objects[b].box.area(); });
  std::vector<Field> fields(objects.size());
  for (size_t i : order) {
    if (!objects[i].has_mask) continue;
    fields[i] = smooth_field(objects[i].mask, magnify, measures.blur);
    for_field(canvas, fields[i], measures.blur, [&](int y, int x, float distance) {
      blend(canvas, y, x, color_of(i), options.fill_opacity * std::clamp(distance + 0.5f, 0.f, 1.f));
    });
  }
  for (size_t i : order) {
    const Rgb line = shade(color_of(i), 0.4f);
    for_field(canvas, fields[i], measures.blur, [&](int y, int x, float distance) {
      blend(canvas, y, x, line, 0.95f * std::clamp(measures.line_width / 2 + 0.5f - std::abs(distance), 0.f, 1.f));
    });
    if (options.boxes || !objects[i].has_mask)
      draw_rectangle(canvas, on_canvas(objects[i].box), line, objects[i].has_mask ? 1.f : measures.line_width, 0.9f,
                     measures.line_width);
  }
  if (!options.chips) return canvas;

  std::vector<size_t> by_score(objects.size());
  std::iota(by_score.begin(), by_score.end(), size_t(0));
  std::stable_sort(by_score.begin(), by_score.end(),
                   [&](size_t a, size_t b) { return objects[a].score > objects[b].score; });
  std::vector<Box> taken;
  for (size_t i : by_score) {
    const std::string text =
        fit_text(chip_text(objects[i], objects.size(), options), measures.letters, float(canvas.width) * 0.6f);
    if (text.empty()) continue;
    const float padding = 0.6f * measures.letters, height = 1.9f * measures.letters;
    const auto [top_x, top_y] = summit(objects[i]);
    Box chip;
    if (!place_chip(canvas, on_canvas(objects[i].box), {top_x * magnify, top_y * magnify},
                    text_width(text, measures.letters) + 2 * padding, height, measures.line_width, taken, chip))
      continue;
    taken.push_back(chip);
    fill_rectangle(canvas, chip, color_of(i), 0.92f, 0.3f * height);
    draw_text(canvas, text, chip.x1 + padding, std::round(chip.y1 + (height + measures.letters) / 2) - 0.5f,
              measures.letters, readable_on(color_of(i)), 1.1f);
  }
  return canvas;
}

int magnification_for(const Image& picture, int wanted) {
  return std::max(1, int(std::lround(double(wanted) / std::max({picture.height, picture.width, 1}))));
}

}  // namespace tessera
