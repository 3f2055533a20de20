// Per box and row of cells, two rows of scores at a time roll down the map. The pixels between them form one band: its
// bytes (eight pixels) with corners of one sign are written as a whole, the others by one fused multiply-add and one
// comparison for eight pixels.
#include "kernels/grid_binarize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/grid_axis.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector8.h"

namespace tessera {

namespace {

constexpr int64_t kSlack = 32;  // bytes after each mask that row copies may touch
constexpr int64_t kPad = 16;    // floats before and after a row of scores that vector loads may touch

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Where the pixels of the original picture lie on the map, along one axis.
struct Interpolation {
  std::vector<int32_t> index;   // left neighbour, at most extent - 2
  std::vector<float> fraction;  // weight of the right one

  Interpolation(int64_t pixels, int64_t resized, double stride, int64_t extent)
      : index(static_cast<size_t>(pixels) + 8), fraction(static_cast<size_t>(pixels) + 8, 0.0f) {
    const double scale = static_cast<double>(resized) / static_cast<double>(pixels) / stride;
    const int64_t most = std::max<int64_t>(extent - 2, 0);
    for (int64_t i = 0; i < pixels; ++i) {
      const double at = std::clamp((static_cast<double>(i) + 0.5) * scale - 0.5, 0.0, static_cast<double>(extent - 1));
      const int64_t left = std::min(static_cast<int64_t>(at), most);
      index[static_cast<size_t>(i)] = static_cast<int32_t>(left);
      fraction[static_cast<size_t>(i)] = static_cast<float>(at - static_cast<double>(left));
    }
    std::fill(index.begin() + pixels, index.end(), index[static_cast<size_t>(pixels) - 1]);
  }
};

// X with one row of the map as `channels` runs of pixels, so that eight pixels are scored at a time.
class PlanarMap {
 public:
  PlanarMap(CpuContext& context, const GridBinarizeArgs& args)
      : channels_(args.channels),
        pitch_(round_up(args.width, 8) + 2 * kPad),
        values_(context, static_cast<size_t>(args.height * channels_ * pitch_)) {
    parallel_for(context, args.height, 16, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y) {
        const float* from = args.pixels + y * args.width * channels_;
        for (int64_t c = 0; c < channels_; ++c) {
          float* to = values_.data() + (y * channels_ + c) * pitch_;
          for (int64_t x = 0; x < args.width; ++x) to[x] = from[x * channels_ + c];
          std::fill(to + args.width, to + pitch_, 0.0f);
        }
      }
    });
  }

  const float* row(int64_t y) const { return values_.data() + y * channels_ * pitch_; }
  int64_t pitch() const { return pitch_; }

 private:
  int64_t channels_, pitch_;
  Scratch<float> values_;
};

// scores[x] = sum over c of weights[c] * planes[c * pitch + x] for x in [0, count), and beyond up to a multiple of 16;
// bit x of signs: scores[x] > 0.
void score_row(const float* planes, int64_t pitch, const float* weights, int64_t channels, int64_t count, float* scores,
               uint8_t* signs) {
  for (int64_t x = 0; x < count; x += 16) {
    Float8 low{}, high{}, low_odd{}, high_odd{};
    const float* at = planes + x;
    int64_t c = 0;
    for (; c + 2 <= channels; c += 2, at += 2 * pitch) {
      low += load8(at) * weights[c];
      high += load8(at + 8) * weights[c];
      low_odd += load8(at + pitch) * weights[c + 1];
      high_odd += load8(at + pitch + 8) * weights[c + 1];
    }
    if (c < channels) {
      low += load8(at) * weights[c];
      high += load8(at + 8) * weights[c];
    }
    low += low_odd;
    high += high_odd;
    store8(scores + x, low);
    store8(scores + x + 8, high);
    signs[x / 8] = positive_bits(low);
    signs[x / 8 + 1] = positive_bits(high);
  }
}

// The part of one byte of a mask row that belongs to one column of cells.
struct ByteSpan {
  int32_t byte;    // in the row
  int32_t column;  // of the picture, of the byte's first pixel
  int32_t base;    // first score that the byte's first pixel reads; may be a little before the cell's scores
  int32_t first;   // scores that the cell's pixels of this byte read: from here, as many as `used` has bits
  uint32_t used;
  uint8_t inside;  // the cell's pixels
};

// One column of cells of a box.
struct CellColumn {
  int32_t first_score = 0;  // map column of its first score
  int32_t scores = 0;       // score columns, 0: the column has no pixels
  std::vector<ByteSpan> spans;
};

struct ScoreRow {
  int64_t map_row = -1;
  std::vector<float> scores;   // [k][score pitch]
  std::vector<uint8_t> signs;  // [k][sign pitch]
};

uint32_t bits_from(const uint8_t* signs, int32_t position) {
  uint32_t word;
  std::memcpy(&word, signs + position / 8, sizeof word);
  return word >> (position % 8);
}

// Writes the masks of boxes one after the other; its buffers live on from box to box.
class BoxBinarizer {
 public:
  BoxBinarizer(const GridBinarizeArgs& args, const PlanarMap& map, const Interpolation& horizontal,
               const Interpolation& vertical)
      : args_(args), map_(map), horizontal_(horizontal), vertical_(vertical), columns_(static_cast<size_t>(args.k)) {}

  void run(int64_t box) {
    rectangle_ = args_.rectangles[box];
    if (rectangle_.width <= 0 || rectangle_.height <= 0) return;
    bits_ = args_.bits + args_.offsets[box];
    const float* corners = args_.boxes + 4 * box;
    column_axis_.assign(corners[0], corners[2], 1.0, args_.original_width, args_.k);
    row_axis_.assign(corners[1], corners[3], 1.0, args_.original_height, args_.k);
    separate_classes(args_.objects + box * args_.k * args_.k * 2 * args_.channels);
    plan_columns();
    for (int iy = 0; iy < args_.k; ++iy) {
      rows_[0].map_row = rows_[1].map_row = -1;  // other cells, other scores
      const int32_t bottom = row_axis_.begin[static_cast<size_t>(iy) + 1];
      for (int32_t y = row_axis_.begin[static_cast<size_t>(iy)]; y < bottom;) {
        const int32_t above = vertical_.index[static_cast<size_t>(y)];
        int32_t end = y + 1;
        while (end < bottom && vertical_.index[static_cast<size_t>(end)] == above) ++end;
        score_rows(iy, above);
        if (narrow_) {
          write_band(y, end);
        } else {
          write_band_by_pixel(y, end);
        }
        y = end;
      }
    }
  }

 private:
  // D_i = F_i/|F_i| - B_i/|B_i|; a vector of length 0 counts as 0.
  void separate_classes(const float* vectors) {
    const int64_t channels = args_.channels, cells = int64_t{args_.k} * args_.k;
    weights_.resize(static_cast<size_t>(cells * channels));
    for (int64_t cell = 0; cell < cells; ++cell) {
      const float* foreground = vectors + cell * 2 * channels;
      const float* background = foreground + channels;
      double foreground_square = 0, background_square = 0;
#pragma omp simd reduction(+ : foreground_square, background_square)
      for (int64_t c = 0; c < channels; ++c) {
        foreground_square += double{foreground[c]} * foreground[c];
        background_square += double{background[c]} * background[c];
      }
      const double by_foreground = foreground_square > 0 ? 1 / std::sqrt(foreground_square) : 0;
      const double by_background = background_square > 0 ? 1 / std::sqrt(background_square) : 0;
      float* weights = weights_.data() + cell * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        // Each unit vector is rounded before the difference, so that equal directions give exactly 0.
        const auto to_foreground = static_cast<float>(foreground[c] * by_foreground);
        const auto to_background = static_cast<float>(background[c] * by_background);
        weights[c] = to_foreground - to_background;
      }
    }
  }

  void plan_columns() {
    int64_t widest = 0;
    narrow_ = true;
    const int32_t* index = horizontal_.index.data();
    for (int ix = 0; ix < args_.k; ++ix) {
      CellColumn& cells = columns_[static_cast<size_t>(ix)];
      cells.spans.clear();
      cells.scores = 0;
      const int32_t left = column_axis_.begin[static_cast<size_t>(ix)];
      const int32_t right = column_axis_.begin[static_cast<size_t>(ix) + 1];
      if (right <= left) continue;
      cells.first_score = index[left];
      cells.scores = index[right - 1] + 2 - cells.first_score;
      widest = std::max<int64_t>(widest, cells.scores);
      for (int32_t byte = (left - rectangle_.x) / 8; byte <= (right - 1 - rectangle_.x) / 8; ++byte) {
        const int32_t column = rectangle_.x + 8 * byte;
        const int32_t from = std::max(column, left), to = std::min(column + 8, right);
        const int32_t used = index[to - 1] + 2 - index[from];
        // Eight pixels may read eight neighbours at most: fewer than one pixel a map cell needs the slow path.
        if (index[std::min(column + 7, column_axis_.last() - 1)] - index[column] > 7) narrow_ = false;
        cells.spans.push_back({byte, column, index[column] - cells.first_score, index[from] - cells.first_score,
                               used >= 32 ? ~0u : (1u << used) - 1,
                               static_cast<uint8_t>((0xFFu << (from - column)) & (0xFFu >> (column + 8 - to)))});
      }
    }
    score_pitch_ = round_up(widest, 16) + 2 * kPad;
    sign_pitch_ = round_up(widest, 16) / 8 + 8;
    for (ScoreRow& row : rows_) {
      const auto k = static_cast<size_t>(args_.k);
      if (row.scores.size() < k * score_pitch_) row.scores.resize(k * score_pitch_, 0.0f);
      if (row.signs.size() < k * sign_pitch_) row.signs.resize(k * sign_pitch_, 0);
    }
    pattern_.resize(static_cast<size_t>(round_up(rectangle_.row_bytes(), kSlack)));
  }

  const float* scores(const ScoreRow& row, size_t ix) const { return row.scores.data() + ix * score_pitch_ + kPad; }
  const uint8_t* signs(const ScoreRow& row, size_t ix) const { return row.signs.data() + ix * sign_pitch_; }

  // rows_[0] and rows_[1]: the scores of map rows `above` and the next, of the cells of grid row iy.
  void score_rows(int iy, int64_t above) {
    if (rows_[1].map_row == above) std::swap(rows_[0], rows_[1]);
    for (const int64_t next : {0, 1}) {
      ScoreRow& row = rows_[static_cast<size_t>(next)];
      if (row.map_row == above + next) continue;
      row.map_row = above + next;
      const int64_t y = std::min(above + next, args_.height - 1);
      for (int ix = 0; ix < args_.k; ++ix) {
        const CellColumn& cells = columns_[static_cast<size_t>(ix)];
        if (cells.scores == 0) continue;
        score_row(map_.row(y) + cells.first_score, map_.pitch(),
                  weights_.data() + (int64_t{iy} * args_.k + ix) * args_.channels, args_.channels, cells.scores,
                  row.scores.data() + ix * score_pitch_ + kPad, row.signs.data() + ix * sign_pitch_);
      }
    }
  }

  // Rows [begin, end) of the picture, all between the two rows of scores.
  void write_band(int32_t begin, int32_t end) {
    mixed_.clear();
    std::fill(pattern_.begin(), pattern_.end(), uint8_t{0});
    for (size_t ix = 0; ix < columns_.size(); ++ix) {
      const uint8_t *above = signs(rows_[0], ix), *below = signs(rows_[1], ix);
      for (const ByteSpan& span : columns_[ix].spans) {
        const uint32_t upper = bits_from(above, span.first), lower = bits_from(below, span.first);
        if ((upper & lower & span.used) == span.used) {
          pattern_[static_cast<size_t>(span.byte)] |= span.inside;
        } else if (((upper | lower) & span.used) != 0) {
          mixed_.push_back({&span, ix});
        }
      }
    }
    const int64_t row_bytes = rectangle_.row_bytes();
    uint8_t* row = bits_ + (begin - rectangle_.y) * row_bytes;
    for (int32_t y = begin; y < end; ++y, row += row_bytes) {
      // Whole vectors: what runs over the end of a row is overwritten by the next one or ends in the slack.
      for (int64_t at = 0; at < row_bytes; at += kSlack) std::memcpy(row + at, pattern_.data() + at, kSlack);
    }
    for (const auto& [span, ix] : mixed_) interpolate_byte(*span, ix, begin, end);
  }

  void interpolate_byte(const ByteSpan& span, size_t ix, int32_t begin, int32_t end) {
    const int32_t* index = horizontal_.index.data() + span.column;
    const Int8 neighbour = load8(index) - index[0];
    const Float8 fraction = load8(horizontal_.fraction.data() + span.column);
    const float *above = scores(rows_[0], ix) + span.base, *below = scores(rows_[1], ix) + span.base;
    const auto along = [&](const float* at) {
      const Float8 left = permute(load8(at), neighbour), right = permute(load8(at + 1), neighbour);
      return left + (right - left) * fraction;
    };
    const Float8 top = along(above), change = along(below) - top;
    const int64_t row_bytes = rectangle_.row_bytes();
    uint8_t* byte = bits_ + (begin - rectangle_.y) * row_bytes + span.byte;
    const float* weight = vertical_.fraction.data();
    for (int32_t y = begin; y < end; ++y, byte += row_bytes)
      *byte |= positive_bits(top + change * weight[y]) & span.inside;
  }

  // The same for maps finer than the picture.
  void write_band_by_pixel(int32_t begin, int32_t end) {
    const int64_t row_bytes = rectangle_.row_bytes();
    for (int32_t y = begin; y < end; ++y) {
      uint8_t* row = bits_ + (y - rectangle_.y) * row_bytes;
      std::fill_n(row, row_bytes, uint8_t{0});
      const float down = vertical_.fraction[static_cast<size_t>(y)];
      for (size_t ix = 0; ix < columns_.size(); ++ix) {
        const float *above = scores(rows_[0], ix), *below = scores(rows_[1], ix);
        for (int32_t x = column_axis_.begin[ix]; x < column_axis_.begin[ix + 1]; ++x) {
          const int32_t at = horizontal_.index[static_cast<size_t>(x)] - columns_[ix].first_score;
          const float across = horizontal_.fraction[static_cast<size_t>(x)];
          const float top = above[at] + (above[at + 1] - above[at]) * across;
          const float bottom = below[at] + (below[at + 1] - below[at]) * across;
          const int32_t bit = x - rectangle_.x;
          if (top + (bottom - top) * down > 0) row[bit / 8] |= static_cast<uint8_t>(1 << (bit % 8));
        }
      }
    }
  }

  struct MixedByte {
    const ByteSpan* span;
    size_t ix;
  };

  const GridBinarizeArgs& args_;
  const PlanarMap& map_;
  const Interpolation &horizontal_, &vertical_;
  PixelRectangle rectangle_{};
  uint8_t* bits_ = nullptr;
  GridAxis column_axis_, row_axis_;
  std::vector<CellColumn> columns_;
  std::vector<float> weights_;  // [k * k][channels]
  ScoreRow rows_[2];
  int64_t score_pitch_ = 0, sign_pitch_ = 0;
  std::vector<uint8_t> pattern_;  // of the rows of one band
  std::vector<MixedByte> mixed_;
  bool narrow_ = true;
};

}  // namespace

void grid_binarize_plan(CpuContext&, const GridBinarizePlanArgs& args) {
  const int64_t valid = args.valid != nullptr ? std::clamp<int64_t>(args.valid[0], 0, args.count) : args.count;
  int64_t total = 0;
  GridAxis columns, rows;
  for (int64_t i = 0; i < args.count; ++i) {
    args.offsets[i] = total;
    args.rectangles[i] = {0, 0, 0, 0};
    if (i >= valid) continue;
    const float* box = args.boxes + 4 * i;
    columns.assign(box[0], box[2], 1.0, args.original_width, 1);
    rows.assign(box[1], box[3], 1.0, args.original_height, 1);
    if (columns.size() == 0 || rows.size() == 0) continue;
    const PixelRectangle rectangle{columns.first(), rows.first(), columns.size(), rows.size()};
    const int64_t bytes = round_up(rectangle.row_bytes() * rectangle.height + kSlack, 64);
    if (args.capacity >= 0 && total + bytes > args.capacity) continue;
    args.rectangles[i] = rectangle;
    total += bytes;
  }
  args.offsets[args.count] = total;
}

void grid_binarize(CpuContext& context, const GridBinarizeArgs& args) {
  bool any = false;
  for (int64_t i = 0; i < args.count; ++i) any = any || args.rectangles[i].width > 0;
  if (!any) return;
  const PlanarMap map(context, args);
  const Interpolation horizontal(args.original_width, args.resized_width, args.stride, args.width);
  const Interpolation vertical(args.original_height, args.resized_height, args.stride, args.height);
  // A few boxes at a time: enough pieces for the threads, and buffers that live longer than one box.
  parallel_chunks(context, args.count, 4, [&](int64_t, int64_t begin, int64_t end) {
    BoxBinarizer binarizer(args, map, horizontal, vertical);
    for (int64_t box = begin; box < end; ++box) binarizer.run(box);
  });
}

}  // namespace tessera
