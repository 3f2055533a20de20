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
constexpr int64_t kPad = 16;    // floats before and after the scores of a strip that vector loads may touch

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

// X in blocks of eight pixels of a row, [height][blocks][channels][8]: eight pixels are scored at a time from memory
// that is read in order. The last block of a row is filled up with zeros.
class BlockedMap {
 public:
  BlockedMap(CpuContext& context, const GridBinarizeArgs& args)
      : blocks_(round_up(args.width, 8) / 8 + 1),  // one to spare: maps of one column have a right neighbour too
        block_size_(8 * args.channels),
        values_(context, static_cast<size_t>(args.height * blocks_ * block_size_)) {
    parallel_for(context, args.height, 16, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y) {
        for (int64_t x = 0; x < 8 * blocks_; x += 8) {
          fill(args.pixels + (y * args.width + x) * args.channels, args.channels,
               std::clamp<int64_t>(args.width - x, 0, 8), values_.data() + (y * blocks_ + x / 8) * block_size_);
        }
      }
    });
  }

  // The block of pixels 8 * block ... 8 * block + 7 of a row; the next block follows after size() floats.
  const float* block(int64_t y, int64_t block) const { return values_.data() + (y * blocks_ + block) * block_size_; }
  int64_t block_size() const { return block_size_; }

 private:
  static void fill(const float* pixels, int64_t channels, int64_t count, float* block) {
    if (count < 8) std::fill_n(block, 8 * channels, 0.0f);
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t c = 0; c < channels; ++c) block[c * 8 + i] = pixels[i * channels + c];
    }
  }

  int64_t blocks_, block_size_;
  Scratch<float> values_;
};

// The scores of kBlocks blocks side by side: weights . X for eight pixels each.
template <int kBlocks>
[[gnu::always_inline]] inline void score_side_by_side(const float* blocks, const float* weights, int64_t channels,
                                                      Float8* scores) {
  Float8 even[kBlocks] = {}, odd[kBlocks] = {};
  const int64_t next = 8 * channels;
  int64_t c = 0;
  for (; c + 2 <= channels; c += 2) {
    for (int b = 0; b < kBlocks; ++b) even[b] += load8(blocks + b * next + c * 8) * weights[c];
    for (int b = 0; b < kBlocks; ++b) odd[b] += load8(blocks + b * next + c * 8 + 8) * weights[c + 1];
  }
  if (c < channels) {
    for (int b = 0; b < kBlocks; ++b) even[b] += load8(blocks + b * next + c * 8) * weights[c];
  }
  for (int b = 0; b < kBlocks; ++b) scores[b] = even[b] + odd[b];
}

// scores[8 b + i] = weights . X of pixel i of block b; returns the signs of the first 64: bit set where positive.
uint64_t score_blocks(const float* blocks, int64_t count, const float* weights, int64_t channels, float* scores) {
  uint64_t signs = 0;
  const auto keep = [&](int64_t at, const Float8& score) {
    store8(scores + 8 * at, score);
    if (at < 8) signs |= uint64_t{positive_bits(score)} << (8 * at);
  };
  int64_t b = 0;
  for (; b + 3 <= count; b += 3) {
    Float8 score[3];
    score_side_by_side<3>(blocks + b * 8 * channels, weights, channels, score);
    for (int i = 0; i < 3; ++i) keep(b + i, score[i]);
  }
  if (b + 2 == count) {
    Float8 score[2];
    score_side_by_side<2>(blocks + b * 8 * channels, weights, channels, score);
    for (int i = 0; i < 2; ++i) keep(b + i, score[i]);
  } else if (b < count) {
    Float8 score;
    score_side_by_side<1>(blocks + b * 8 * channels, weights, channels, &score);
    keep(b, score);
  }
  return signs;
}

// A run of pixels of one column of cells that reads at most 64 neighbouring scores, so that their signs fit a word.
struct Strip {
  int32_t left, right;  // pixels of the picture
  int32_t cell;         // column of cells
  int32_t first_block;  // of the map; scores are counted from its first pixel
  int32_t blocks;
  int64_t scores_begin;  // place of its scores in a ScoreRow
  size_t spans_begin, spans_end;
};

// The part of one byte of a mask row that belongs to one strip.
struct ByteSpan {
  uint64_t used;   // scores of the strip that its pixels read
  int32_t byte;    // in the row
  int32_t base;    // score that the byte's first pixel reads, counted like scores_begin; it may lie before the strip
  uint8_t inside;  // the strip's pixels
};

struct ScoreRow {
  int64_t map_row = -1;
  std::vector<float> scores;    // of all strips, one after the other with padding
  std::vector<uint64_t> signs;  // [strips]
};

// Writes the masks of boxes one after the other; its buffers live on from box to box.
class BoxBinarizer {
 public:
  BoxBinarizer(const GridBinarizeArgs& args, const BlockedMap& map, const Interpolation& horizontal,
               const Interpolation& vertical)
      : args_(args), map_(map), horizontal_(horizontal), vertical_(vertical) {}

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

  // Cuts the columns of cells into strips and those into bytes. Eight pixels may read nine neighbouring scores; a
  // picture with fewer pixels than the map has cells needs more and takes the slow path, as does a strip whose 64
  // scores end inside a byte.
  void plan_columns() {
    narrow_ = true;
    strips_.clear();
    spans_.clear();
    int64_t scores = kPad;
    const int32_t* index = horizontal_.index.data();
    for (int32_t cell = 0; cell < args_.k; ++cell) {
      const int32_t right = column_axis_.begin[static_cast<size_t>(cell) + 1];
      for (int32_t left = column_axis_.begin[static_cast<size_t>(cell)]; left < right;) {
        Strip strip{left, left, cell, index[left] / 8, 0, scores, spans_.size(), 0};
        const int32_t origin = 8 * strip.first_block;
        while (strip.right < right) {
          const int32_t byte = (strip.right - rectangle_.x) / 8, column = rectangle_.x + 8 * byte;
          const int32_t from = strip.right, to = std::min(column + 8, right);
          const int32_t first = index[from] - origin, last = index[to - 1] + 1 - origin;
          if (index[std::min(column + 7, column_axis_.last() - 1)] - index[column] > 7) narrow_ = false;
          if (last >= 64 && spans_.size() > strip.spans_begin) break;  // the next strip begins with this byte
          spans_.push_back({(~uint64_t{0} >> (63 - std::min(last - first, 63))) << std::min(first, 63), byte,
                            static_cast<int32_t>(scores) + index[column] - origin,
                            static_cast<uint8_t>((0xFFu << (from - column)) & (0xFFu >> (column + 8 - to)))});
          strip.right = to;
          strip.blocks = last / 8 + 1;
        }
        left = strip.right;
        strip.spans_end = spans_.size();
        scores += 8 * strip.blocks + kPad;
        strips_.push_back(strip);
      }
    }
    for (ScoreRow& row : rows_) {
      if (static_cast<int64_t>(row.scores.size()) < scores) row.scores.resize(static_cast<size_t>(scores), 0.0f);
      row.signs.resize(strips_.size());
    }
    pattern_.resize(static_cast<size_t>(round_up(rectangle_.row_bytes(), kSlack)));
    mixed_.resize(spans_.size() + 1);
  }

  // rows_[0] and rows_[1]: the scores of map rows `above` and the next, for the cells of grid row iy.
  void score_rows(int iy, int64_t above) {
    if (rows_[1].map_row == above) std::swap(rows_[0], rows_[1]);
    for (const int64_t next : {0, 1}) {
      ScoreRow& row = rows_[static_cast<size_t>(next)];
      if (row.map_row == above + next) continue;
      row.map_row = above + next;
      const int64_t y = std::min(above + next, args_.height - 1);
      for (size_t i = 0; i < strips_.size(); ++i) {
        const Strip& strip = strips_[i];
        row.signs[i] = score_blocks(map_.block(y, strip.first_block), strip.blocks,
                                    weights_.data() + (int64_t{iy} * args_.k + strip.cell) * args_.channels,
                                    args_.channels, row.scores.data() + strip.scores_begin);
      }
    }
  }

  // Rows [begin, end) of the picture, all between the two rows of scores.
  void write_band(int32_t begin, int32_t end) {
    const int64_t row_bytes = rectangle_.row_bytes();
    uint8_t* const pattern = pattern_.data();
    std::memset(pattern, 0, pattern_.size());
    // Without branches on single bytes: the signs of natural masks are not predictable.
    const ByteSpan* const spans = spans_.data();
    int32_t* const mixed = mixed_.data();
    size_t mixed_count = 0;
    for (size_t strip = 0; strip < strips_.size(); ++strip) {
      const uint64_t above = rows_[0].signs[strip], below = rows_[1].signs[strip];
      const uint64_t both = above & below, either = above | below;
      if (either == 0) continue;
      const size_t last = strips_[strip].spans_end;
      const size_t first = strips_[strip].spans_begin;
      uint8_t* byte = pattern + spans[first].byte;
      const uint8_t before = *byte;  // what the strip to the left has put into a shared byte
      for (size_t i = first; i < last; ++i) {
        const uint64_t used = spans[i].used;
        const bool all = (~both & used) == 0, some = (either & used) != 0;
        byte[i - first] = static_cast<uint8_t>(-static_cast<int>(all)) & spans[i].inside;
        mixed[mixed_count] = static_cast<int32_t>(i);
        mixed_count += static_cast<size_t>(some & !all);
      }
      *byte |= before;
    }
    uint8_t* row = bits_ + (begin - rectangle_.y) * row_bytes;
    for (int32_t y = begin; y < end; ++y, row += row_bytes) {
      // Whole vectors: what runs over the end of a row is overwritten by the next one or ends in the slack.
      for (int64_t at = 0; at < row_bytes; at += kSlack) std::memcpy(row + at, pattern + at, kSlack);
    }
    for (size_t i = 0; i < mixed_count; ++i) interpolate_byte(spans[mixed[i]], begin, end);
  }

  void interpolate_byte(const ByteSpan& span, int32_t begin, int32_t end) {
    const int32_t column = rectangle_.x + 8 * span.byte;
    const int32_t* index = horizontal_.index.data() + column;
    const Int8 neighbour = load8(index) - index[0];
    const Float8 fraction = load8(horizontal_.fraction.data() + column);
    const auto along = [&](const ScoreRow& row) {
      const float* at = row.scores.data() + span.base;
      const Float8 left = permute(load8(at), neighbour), right = permute(load8(at + 1), neighbour);
      return left + (right - left) * fraction;
    };
    const Float8 top = along(rows_[0]), change = along(rows_[1]) - top;
    const int64_t row_bytes = rectangle_.row_bytes();
    uint8_t* byte = bits_ + (begin - rectangle_.y) * row_bytes + span.byte;
    const float* const weight = vertical_.fraction.data();
    const uint8_t inside = span.inside;
    for (int32_t y = begin; y < end; ++y, byte += row_bytes) {
      *byte |= positive_bits(top + change * weight[y]) & inside;
    }
  }

  // The same for maps finer than the picture.
  void write_band_by_pixel(int32_t begin, int32_t end) {
    const int64_t row_bytes = rectangle_.row_bytes();
    for (int32_t y = begin; y < end; ++y) {
      uint8_t* row = bits_ + (y - rectangle_.y) * row_bytes;
      std::fill_n(row, row_bytes, uint8_t{0});
      const float down = vertical_.fraction[static_cast<size_t>(y)];
      for (const Strip& strip : strips_) {
        const float* above = rows_[0].scores.data() + strip.scores_begin;
        const float* below = rows_[1].scores.data() + strip.scores_begin;
        for (int32_t x = strip.left; x < strip.right; ++x) {
          const int32_t at = horizontal_.index[static_cast<size_t>(x)] - 8 * strip.first_block;
          const float across = horizontal_.fraction[static_cast<size_t>(x)];
          const float top = above[at] + (above[at + 1] - above[at]) * across;
          const float bottom = below[at] + (below[at + 1] - below[at]) * across;
          const int32_t bit = x - rectangle_.x;
          if (top + (bottom - top) * down > 0) row[bit / 8] |= static_cast<uint8_t>(1 << (bit % 8));
        }
      }
    }
  }

  const GridBinarizeArgs& args_;
  const BlockedMap& map_;
  const Interpolation &horizontal_, &vertical_;
  PixelRectangle rectangle_{};
  uint8_t* bits_ = nullptr;
  GridAxis column_axis_, row_axis_;
  std::vector<float> weights_;  // [k * k][channels]
  std::vector<Strip> strips_;
  std::vector<ByteSpan> spans_;
  ScoreRow rows_[2];
  std::vector<uint8_t> pattern_;  // of the rows of one band, before interpolation
  std::vector<int32_t> mixed_;    // spans whose scores differ in sign
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
  const BlockedMap map(context, args);
  const Interpolation horizontal(args.original_width, args.resized_width, args.stride, args.width);
  const Interpolation vertical(args.original_height, args.resized_height, args.stride, args.height);
  // A few boxes at a time: enough pieces for the threads, and buffers that live longer than one box.
  parallel_chunks(context, args.count, 4, [&](int64_t, int64_t begin, int64_t end) {
    BoxBinarizer binarizer(args, map, horizontal, vertical);
    for (int64_t box = begin; box < end; ++box) binarizer.run(box);
  });
}

}  // namespace tessera
