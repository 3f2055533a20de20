#include "data/image/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <vector>

#include "data/image/glyphs.h"

namespace tessera {
namespace {

constexpr float units = 14;                   // of a capital letter's height
constexpr float spacing = 3.5f;               // units between the ink of two letters
constexpr float pen = 1.75f;                  // units, width of a regular stroke
constexpr float above = 15.6f, below = 4.2f;  // units, extent of the tallest and deepest glyph

struct Segment {
  float x0, y0, x1, y1;
};

// Curves become chains of short lines, fine enough for letters of a hundred pixels.
std::vector<Segment> flatten(const Glyph& glyph) {
  std::vector<Segment> segments;
  float x = 0, y = 0;
  const char* p = glyph.path;
  const auto number = [&p] {
    char* end = nullptr;
    const float value = std::strtof(p, &end);
    p = end;
    return value;
  };
  const auto line_to = [&](float to_x, float to_y) {
    segments.push_back({x, y, to_x, to_y});
    x = to_x, y = to_y;
  };
  while (*p) {
    const char command = *p++;
    if (command == 'M') {
      x = number(), y = number();
    } else if (command == 'L') {
      const float to_x = number();
      line_to(to_x, number());
    } else if (command == 'C') {
      float c[6];
      for (float& value : c) value = number();
      const float from_x = x, from_y = y;
      constexpr int steps = 10;
      for (int i = 1; i <= steps; ++i) {
        const float t = float(i) / steps, s = 1 - t;
        line_to(s * s * s * from_x + 3 * s * s * t * c[0] + 3 * s * t * t * c[2] + t * t * t * c[4],
                s * s * s * from_y + 3 * s * s * t * c[1] + 3 * s * t * t * c[3] + t * t * t * c[5]);
      }
    } else if (command == 'E') {
      const float cx = number(), cy = number(), rx = number(), ry = number();
      x = cx + rx, y = cy;
      constexpr int steps = 28;
      for (int i = 1; i <= steps; ++i) {
        const float angle = 2 * std::numbers::pi_v<float> * float(i) / steps;
        line_to(cx + rx * std::cos(angle), cy + ry * std::sin(angle));
      }
    }
  }
  return segments;
}

struct OutlinedGlyph {
  float width = 0;
  std::vector<Segment> segments;
};

// The 95 glyphs and, last, the one for everything else.
const std::array<OutlinedGlyph, 96>& outlines() {
  static const auto table = [] {
    std::array<OutlinedGlyph, 96> result;
    for (size_t i = 0; i < 95; ++i) result[i] = {glyphs[i].width, flatten(glyphs[i])};
    result[95] = {unknown_glyph.width, flatten(unknown_glyph)};
    return result;
  }();
  return table;
}

// Calls visit(glyph, left end in units) for every character; the return value is the right end of the ink in units.
template <typename Visit>
float lay_out(std::string_view text, Visit visit) {
  float x = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) == 0x80) continue;  // the tail of a UTF-8 sequence
    const OutlinedGlyph& glyph = outlines()[byte >= 32 && byte < 127 ? byte - 32 : 95];
    visit(glyph, x);
    x += glyph.width + spacing;
  }
  return std::max(0.f, x - spacing);
}

float squared_distance(const Segment& s, float x, float y) {
  const float dx = s.x1 - s.x0, dy = s.y1 - s.y0, length = dx * dx + dy * dy;
  const float t = length > 0 ? std::clamp(((x - s.x0) * dx + (y - s.y0) * dy) / length, 0.f, 1.f) : 0.f;
  const float ex = x - s.x0 - t * dx, ey = y - s.y0 - t * dy;
  return ex * ex + ey * ey;
}

}  // namespace

float text_width(std::string_view text, float size) {
  return lay_out(text, [](const OutlinedGlyph&, float) {}) * size / units;
}

float text_line_height(float size) { return (above + below) * size / units; }

void draw_text(Image& image, std::string_view text, float x, float y, float size, Rgb color, float weight) {
  const float scale = size / units;
  const float radius = std::max(0.5f * pen * scale * weight, 0.5f);  // thinner would only be fainter
  const int left = int(std::floor(x - radius - 1)), top = int(std::floor(y - above * scale - radius - 1));
  const int width = int(std::ceil(text_width(text, size) + 2 * radius + 3));
  const int height = int(std::ceil((above + below) * scale + 2 * radius + 3));
  std::vector<float> coverage(size_t(width) * height, 0.f);
  lay_out(text, [&](const OutlinedGlyph& glyph, float offset) {
    for (Segment s : glyph.segments) {
      s = {x + (s.x0 + offset) * scale - left, y - s.y0 * scale - top, x + (s.x1 + offset) * scale - left,
           y - s.y1 * scale - top};
      const auto range = [&](float a, float b, int limit) {
        return std::pair{std::clamp(int(std::min(a, b) - radius - 1), 0, limit),
                         std::clamp(int(std::max(a, b) + radius + 2), 0, limit)};
      };
      const auto [x_begin, x_end] = range(s.x0, s.x1, width);
      const auto [y_begin, y_end] = range(s.y0, s.y1, height);
      for (int py = y_begin; py < y_end; ++py)
        for (int px = x_begin; px < x_end; ++px) {
          const float distance = std::sqrt(squared_distance(s, px + 0.5f, py + 0.5f));
          float& cover = coverage[size_t(py) * width + px];
          cover = std::max(cover, std::clamp(radius + 0.5f - distance, 0.f, 1.f));
        }
    }
  });
  for (int py = std::max(0, -top); py < std::min(height, image.height - top); ++py)
    for (int px = std::max(0, -left); px < std::min(width, image.width - left); ++px) {
      const float cover = coverage[size_t(py) * width + px];
      if (cover > 0) blend(image, py + top, px + left, color, cover);
    }
}

std::string fit_text(std::string_view text, float size, float width) {
  if (text_width(text, size) <= width) return std::string(text);
  std::string cut(text);
  do cut.pop_back();
  while (!cut.empty() && text_width(cut + "...", size) > width);
  while (!cut.empty() && (cut.back() == ' ' || (cut.back() & 0x80))) cut.pop_back();  // no half UTF-8 sequence
  return cut + "...";
}

}  // namespace tessera
