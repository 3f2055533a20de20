#include "data/annotations/rle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "engine/core/error.h"

namespace tessera {
namespace {

// Builds counts from the ascending positions where the mask changes between background and foreground. Two changes at
// the same place cancel, so runs are never empty.
class RunBuilder {
 public:
  void change_at(uint32_t position) {
    if (!changes_.empty() && changes_.back() == position) {
      changes_.pop_back();
    } else {
      changes_.push_back(position);
    }
  }
  std::vector<uint32_t> finish(uint32_t total) {
    if (!changes_.empty() && changes_.back() == total) changes_.pop_back();
    std::vector<uint32_t>& counts = changes_;  // differences in place, last first
    counts.push_back(total);
    for (size_t i = counts.size() - 1; i > 0; --i) counts[i] -= counts[i - 1];
    return std::move(counts);
  }

 private:
  std::vector<uint32_t> changes_;
};

// Row-major masks become column-major runs without a transposition: a row is compared with the one above, each change
// noted as (column, row), and the few changes are sorted by column. `changes` is called row by row.
class ColumnChanges {
 public:
  explicit ColumnChanges(int width) : starts_(static_cast<size_t>(width) + 1, 0) {}

  void add(int column, int row) {
    columns_.push_back(static_cast<uint32_t>(column));
    rows_.push_back(static_cast<uint32_t>(row));
    ++starts_[static_cast<size_t>(column) + 1];
  }
  // The changes of all columns in ascending order, at image position (x + column) * height + y + row.
  Rle build(int x, int y, int height, int width) {
    for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
    std::vector<uint32_t> positions(columns_.size());
    for (size_t i = 0; i < columns_.size(); ++i) {
      positions[starts_[columns_[i]]++] = (static_cast<uint32_t>(x) + columns_[i]) * static_cast<uint32_t>(height) +
                                          static_cast<uint32_t>(y) + rows_[i];
    }
    RunBuilder runs;
    for (uint32_t position : positions) runs.change_at(position);
    return {height, width, runs.finish(static_cast<uint32_t>(height) * static_cast<uint32_t>(width))};
  }

 private:
  std::vector<uint32_t> columns_, rows_;
  std::vector<uint32_t> starts_;
};

void check_extents(int height, int width) {
  TESSERA_CHECK(height > 0 && width > 0 && int64_t{height} * width < int64_t{1} << 32, "mask of {} x {}", height,
                width);
}

// Up to eight bytes of a row as one word, missing ones zero.
uint64_t load_word(const uint8_t* row, int offset, int bytes) {
  uint64_t word = 0;
  std::memcpy(&word, row + offset, static_cast<size_t>(std::min(8, bytes - offset)));
  return word;
}

void check_same_size(const Rle& a, const Rle& b) {
  if (a.height != b.height || a.width != b.width) {
    throw Error(ExitCode::data,
                fmt::format("masks of different sizes: {} x {} and {} x {}", a.height, a.width, b.height, b.width));
  }
}

}  // namespace

Rle rle_encode_column_major(const uint8_t* pixels, int height, int width) {
  check_extents(height, width);
  const uint32_t total = static_cast<uint32_t>(height) * static_cast<uint32_t>(width);
  RunBuilder runs;
  bool previous = false;
  for (uint32_t i = 0; i < total; ++i) {
    if ((pixels[i] != 0) != previous) {
      runs.change_at(i);
      previous = !previous;
    }
  }
  return {height, width, runs.finish(total)};
}

Rle rle_encode_row_major(const uint8_t* pixels, int height, int width) {
  check_extents(height, width);
  ColumnChanges changes(width);
  const std::vector<uint8_t> background(static_cast<size_t>(width), 0);
  const uint8_t* above = background.data();
  for (int y = 0; y <= height; ++y) {
    const uint8_t* row = y < height ? pixels + static_cast<size_t>(y) * width : background.data();
    for (int x = 0; x < width; x += 8) {
      if (load_word(row, x, width) == load_word(above, x, width)) continue;
      for (int i = x; i < std::min(x + 8, width); ++i) {
        if ((row[i] != 0) != (above[i] != 0)) changes.add(i, y);
      }
    }
    above = row;
  }
  return changes.build(0, 0, height, width);
}

Rle rle_encode(const Bitmap& mask) { return rle_encode_row_major(mask.pixels.data(), mask.height, mask.width); }

Rle rle_encode_bits(const BitRectangle& r, int image_height, int image_width) {
  check_extents(image_height, image_width);
  TESSERA_CHECK(r.x >= 0 && r.y >= 0 && r.width >= 0 && r.height >= 0 && r.x <= image_width - r.width &&
                    r.y <= image_height - r.height,
                "rectangle {},{} {} x {} in an image of {} x {}", r.x, r.y, r.width, r.height, image_width,
                image_height);
  ColumnChanges changes(r.width);
  const int used_bytes = (r.width + 7) / 8;
  const std::vector<uint8_t> background(static_cast<size_t>(used_bytes), 0);
  const uint8_t* above = background.data();
  for (int y = 0; y <= r.height; ++y) {
    const uint8_t* row = y < r.height ? r.bits + static_cast<size_t>(y) * r.row_bytes : background.data();
    for (int byte = 0; byte < used_bytes; byte += 8) {
      uint64_t difference = load_word(row, byte, used_bytes) ^ load_word(above, byte, used_bytes);
      const int valid = r.width - byte * 8;
      if (valid < 64) difference &= (uint64_t{1} << valid) - 1;
      for (; difference != 0; difference &= difference - 1) changes.add(byte * 8 + std::countr_zero(difference), y);
    }
    above = row;
  }
  return changes.build(r.x, r.y, image_height, image_width);
}

Rle rle_encode(const BitMask& mask, int image_height, int image_width) {
  return rle_encode_bits({mask.bits.data(), mask.row_bytes(), mask.x, mask.y, mask.width, mask.height}, image_height,
                         image_width);
}

// Marks where each column changes, then sums the marks modulo two down the rows: contour-sized scattered writes and one
// vector pass over the rows in use, instead of one strided write per foreground pixel.
Bitmap rle_decode(const Rle& rle) {
  const size_t height = static_cast<size_t>(rle.height), width = static_cast<size_t>(rle.width);
  Bitmap mask{rle.height, rle.width, std::vector<uint8_t>(height * width, 0)};
  size_t first_row = height, last_row = 0, position = 0;
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    const size_t end = position + rle.counts[i];
    TESSERA_CHECK(end <= height * width, "runs exceed {} x {}", height, width);
    while (i % 2 == 1 && position < end) {
      const size_t x = position / height, top = position % height;
      const size_t bottom = std::min(height, top + (end - position));  // one past
      mask.pixels[top * width + x] ^= 1;
      if (bottom < height) mask.pixels[bottom * width + x] ^= 1;
      first_row = std::min(first_row, top);
      last_row = std::max(last_row, std::min(bottom, height - 1));
      position += bottom - top;
    }
    position = end;
  }
  for (size_t y = first_row + 1; y <= last_row; ++y) {
    uint8_t* row = &mask.pixels[y * width];
    const uint8_t* above = row - width;
    for (size_t x = 0; x < width; ++x) row[x] ^= above[x];
  }
  return mask;
}

void rle_validate(const Rle& rle) {
  const int64_t expected = int64_t{rle.height} * rle.width;
  if (rle.height <= 0 || rle.width <= 0 || expected >= int64_t{1} << 32) {
    throw Error(ExitCode::data, fmt::format("RLE size [{}, {}] is not a picture's", rle.height, rle.width));
  }
  int64_t sum = 0;
  for (uint32_t count : rle.counts) sum += count;
  if (sum != expected) {
    throw Error(ExitCode::data,
                fmt::format("RLE counts sum to {}, expected {} ({} x {})", sum, expected, rle.height, rle.width));
  }
}

Rle rle_merge(std::span<const Rle> masks, RleMerge mode) {
  if (masks.empty()) return {};
  Rle merged = masks[0];
  for (const Rle& other : masks.subspan(1)) {
    check_same_size(merged, other);
    const uint32_t total = static_cast<uint32_t>(merged.height) * static_cast<uint32_t>(merged.width);
    RunBuilder runs;
    size_t a = 0, b = 0;
    uint64_t end_a = merged.counts.empty() ? total : merged.counts[0];
    uint64_t end_b = other.counts.empty() ? total : other.counts[0];
    bool value = false;
    while (end_a < total || end_b < total) {
      const uint64_t position = std::min(end_a, end_b);
      while (end_a == position && a + 1 < merged.counts.size()) end_a += merged.counts[++a];
      while (end_b == position && b + 1 < other.counts.size()) end_b += other.counts[++b];
      TESSERA_CHECK(std::min(end_a, end_b) > position, "runs end at {} of {}", position, total);
      const bool in_a = a % 2 == 1, in_b = b % 2 == 1;
      const bool next = mode == RleMerge::intersect ? in_a && in_b : in_a || in_b;
      if (next != value) runs.change_at(static_cast<uint32_t>(position));
      value = next;
    }
    merged.counts = runs.finish(total);
  }
  return merged;
}

uint32_t rle_area(const Rle& rle) {
  uint32_t area = 0;
  for (size_t i = 1; i < rle.counts.size(); i += 2) area += rle.counts[i];
  return area;
}

BoxXywh rle_box(const Rle& rle) {
  if (rle.height == 0) return {};
  const uint32_t height = static_cast<uint32_t>(rle.height);
  uint32_t left = UINT32_MAX, top = UINT32_MAX, right = 0, bottom = 0, position = 0;
  bool any = false;
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    const uint32_t count = rle.counts[i];
    if (i % 2 == 1 && count > 0) {
      any = true;
      const uint32_t last = position + count - 1;
      const uint32_t first_x = position / height, last_x = last / height;
      const bool spans = first_x < last_x;  // more than one column: touches the top and the bottom row
      left = std::min(left, first_x);
      right = std::max(right, last_x);
      top = std::min(top, spans ? 0 : position % height);
      bottom = std::max(bottom, spans ? height - 1 : last % height);
    }
    position += count;
  }
  if (!any) return {};
  return {static_cast<double>(left), static_cast<double>(top), static_cast<double>(right - left + 1),
          static_cast<double>(bottom - top + 1)};
}

uint64_t rle_intersection(const Rle& detection, const Rle& truth) {
  check_same_size(detection, truth);
  // Foreground intervals of both, walked side by side.
  uint64_t intersection = 0, end_a = 0, end_b = 0, start_a = 0, start_b = 0;
  size_t a = 0, b = 0;
  const auto next = [](const Rle& rle, size_t& i, uint64_t& start, uint64_t& end) {
    if (i + 1 >= rle.counts.size()) return false;
    start = end + rle.counts[i];
    end = start + rle.counts[i + 1];
    i += 2;
    return true;
  };
  bool more = next(detection, a, start_a, end_a) && next(truth, b, start_b, end_b);
  while (more) {
    const uint64_t from = std::max(start_a, start_b), to = std::min(end_a, end_b);
    if (to > from) intersection += to - from;
    more = end_a < end_b ? next(detection, a, start_a, end_a) : next(truth, b, start_b, end_b);
  }
  return intersection;
}

double rle_iou(const Rle& detection, const Rle& truth, bool crowd) {
  const uint64_t intersection = rle_intersection(detection, truth);
  if (intersection == 0) return 0;
  const uint64_t area = rle_area(detection);
  const uint64_t denominator = crowd ? area : area + rle_area(truth) - intersection;
  return static_cast<double>(intersection) / static_cast<double>(denominator);
}

double box_iou(const BoxXywh& d, const BoxXywh& t, bool crowd) {
  const double w = std::min(d.w + d.x, t.w + t.x) - std::max(d.x, t.x);
  if (w <= 0) return 0;
  const double h = std::min(d.h + d.y, t.h + t.y) - std::max(d.y, t.y);
  if (h <= 0) return 0;
  const double intersection = w * h;
  const double area = d.w * d.h;
  return intersection / (crowd ? area : area + t.w * t.h - intersection);
}

}  // namespace tessera
