#include "kernels/cpu/bf16_strip.h"

#include <algorithm>

namespace tessera {

namespace {

int64_t floor_div(int64_t a, int64_t b) { return (a - (a % b + b) % b) / b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

Bf16StripShape::Bf16StripShape(const GatheredProduct& product, const GatherGrid& grid)
    : product_(product), grid_(grid) {
  const int64_t step = grid.source_step;
  int64_t bottom = 0, right = 0;
  for (int64_t t = grid.tap_begin; t < grid.tap_begin + grid.tap_count; ++t) {
    const GatherTap& tap = product.taps[static_cast<size_t>(t)];
    const int64_t y = floor_div(tap.dy, step), x = floor_div(tap.dx, step);
    const bool first = t == grid.tap_begin;
    top_ = first ? y : std::min(top_, y), bottom = first ? y : std::max(bottom, y);
    left_ = first ? x : std::min(left_, x), right = first ? x : std::max(right, x);
    const Phase phase{tap.dy - y * step, tap.dx - x * step};
    const auto same = [&](const Phase& other) { return other.y == phase.y && other.x == phase.x; };
    tap_phase_.push_back(std::find_if(phases_.begin(), phases_.end(), same) - phases_.begin());
    if (tap_phase_.back() == static_cast<int64_t>(phases_.size())) phases_.push_back(phase);
  }
  halo_ = bottom - top_;
  columns_ = grid.width + right - left_;
  group_size_ = ceil_div(product.source_channels, kBf16Depth) * kBf16Depth;
  cell_ = product.groups * group_size_;
  // An odd number of lines, or the rows of a tile would fall into a few sets of the cache.
  if (cell_ % 256 == 0) cell_ += kBf16Depth;
}

int64_t Bf16StripShape::row() const { return std::max<int64_t>(1, std::ssize(phases_)) * columns_ * cell_; }

int64_t Bf16StripShape::values(int64_t rows) const {
  return std::ssize(phases_) * phase_values(rows) + kBf16Block * cell_;
}

int64_t Bf16StripShape::place(int64_t tap, int64_t rows) const {
  const GatherTap& at = product_.taps[static_cast<size_t>(tap)];
  const int64_t y = floor_div(at.dy, grid_.source_step) - top_, x = floor_div(at.dx, grid_.source_step) - left_;
  const int64_t phase = tap_phase_[static_cast<size_t>(tap - grid_.tap_begin)];
  return phase * phase_values(rows) + (y * columns_ + x) * cell_;
}

void Bf16StripShape::round(int64_t image, int64_t y, int64_t rows, Bf16* values) const {
  const int64_t first = grid_.source_row + image * grid_.source_height * grid_.source_width;
  for (const Phase& phase : phases_) {
    for (int64_t row = 0; row < rows + halo_; ++row, values += columns_ * cell_) {
      const int64_t source_y = (y + row + top_) * grid_.source_step + phase.y;
      if (source_y < 0 || source_y >= grid_.source_height) {
        std::fill_n(values, columns_ * cell_, Bf16{0});
      } else {
        round_row(phase, product_.source + (first + source_y * grid_.source_width) * source_channels(), values);
      }
    }
  }
  std::fill_n(values, kBf16Block * cell_, Bf16{0});
}

// from: first channel of the source row.
void Bf16StripShape::round_row(const Phase& phase, const float* from, Bf16* to) const {
  const int64_t step = grid_.source_step, channels = source_channels(), group = product_.source_channels;
  const int64_t first = left_ * step + phase.x;  // source column of the first cell
  const int64_t begin = std::clamp<int64_t>(ceil_div(std::max<int64_t>(0, -first), step), 0, columns_);
  const int64_t end = std::clamp<int64_t>(floor_div(grid_.source_width - 1 - first, step) + 1, begin, columns_);
  std::fill_n(to, begin * cell_, Bf16{0});
  std::fill_n(to + end * cell_, (columns_ - end) * cell_, Bf16{0});
  from += (first + begin * step) * channels;
  to += begin * cell_;
  for (int64_t column = begin; column < end; ++column, from += step * channels, to += cell_) {
    if (group_size_ == group) {
      round_to_bf16(from, channels, to);
      continue;
    }
    for (int64_t g = 0; g < product_.groups; ++g) {
      round_to_bf16(from + g * group, group, to + g * group_size_);
      std::fill(to + g * group_size_ + group, to + (g + 1) * group_size_, Bf16{0});
    }
  }
}

}  // namespace tessera
