// Gradient of convolution weights in bf16: for every tap, dweight[o][tap][c] = sum over output cells of dy[cell][o]
// x[cell at tap][c]. The sum runs over cells, so both operands are laid down anew, a strip of output rows at a time: dy
// as rows of cells, one for each output, x as pairs of cells. Both have the row length of x with its padding, and dy is
// zero behind the end of its rows: then the cells that meet at a tap lie a constant distance apart across the ends of
// rows, and the rows of dy are read that much earlier. Strips follow each other in a fixed order; within one, threads
// share outputs, channels and taps, never the cells.
#include <algorithm>
#include <vector>

#include "kernels/cpu/bf16_conv2d.h"
#include "kernels/cpu/bf16_tiles.h"
#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

constexpr int64_t kStripValues = int64_t{2} << 20;  // of x and dy together, about
constexpr int64_t kMargin = kBf16Depth;             // zeros before a row of dy, and at least as many behind it

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Output rows [y, y + rows) of one image of a map.
struct Strip {
  const Conv2dMap* map;
  int64_t image, y, rows;
  int64_t columns;   // of a row of either operand
  int64_t dy_cells;  // rows * columns
  int64_t x_steps;   // of 32 cells of a phase of x
  int64_t dy_row;    // values from one output to the next
};

// A tap of the window in cells of its phase (input row mod stride, column mod stride).
struct PhaseTap {
  int64_t phase, y, x;
};

class WeightStrips {
 public:
  WeightStrips(CpuContext& context, const Conv2dBackwardWeightArgs& args, Bf16Path path)
      : context_(context),
        args_(args),
        window_(args.window),
        path_(path),
        phases_(std::min(window_.stride, window_.height) * std::min(window_.stride, window_.width)),
        x_tiles_(ceil_div(window_.group_in(), kBf16Side)),
        dy_tiles_(ceil_div(window_.group_out(), kBf16Side)) {
    for (int64_t tap = 0; tap < window_.taps(); ++tap) {
      const int64_t v = tap / window_.width, u = tap % window_.width, across = std::min(window_.stride, window_.width);
      taps_.push_back({v % window_.stride * across + u % window_.stride, v / window_.stride, u / window_.stride});
    }
    for (const Conv2dMap& map : args.maps) add_strips(map);
  }

  void run() {
    size_t x_words = 0, dy_values = 0;
    for (const Strip& strip : strips_) {
      x_words = std::max(x_words, static_cast<size_t>(phases_ * phase_words(strip)));
      dy_values = std::max(dy_values, static_cast<size_t>(window_.groups * dy_tiles_ * kBf16Side * strip.dy_row));
    }
    Scratch<uint32_t> x(context_, x_words);
    Scratch<Bf16> dy(context_, dy_values);
    if (strips_.empty()) std::fill_n(args_.dweight, window_.weight_elements(), 0.0f);
    for (const Strip& strip : strips_) {
      lay_x(strip, x.data());
      lay_dy(strip, dy.data());
      multiply(strip, x.data(), dy.data());
    }
    if (args_.scale == nullptr) return;
    const int64_t depth = window_.taps() * window_.group_in();
    parallel_for(context_, window_.out_channels, 16, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t k = 0; k < depth; ++k) args_.dweight[o * depth + k] *= args_.scale[o];
      }
    });
  }

 private:
  int64_t halo(int64_t extent) const { return (extent - 1) / window_.stride; }
  int64_t phase_words(const Strip& strip) const { return window_.groups * x_tiles_ * strip.x_steps * kBf16Tile; }

  void add_strips(const Conv2dMap& map) {
    if (map.out_rows() == 0) return;
    const int64_t columns = map.out_width + halo(window_.width), below = halo(window_.height);
    const int64_t row = columns * (phases_ * window_.in_channels + window_.out_channels);
    const int64_t most = std::clamp<int64_t>(kStripValues / row, 1, map.out_height);
    const int64_t count = ceil_div(map.out_height, most);
    for (int64_t image = 0; image < map.images; ++image) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t begin = map.out_height * i / count, rows = map.out_height * (i + 1) / count - begin;
        const int64_t cells = rows * columns;
        // An odd number of lines, or the rows of a tile would fall into a few sets of the cache.
        const int64_t lines = ceil_div(kMargin + cells + kMargin, kBf16Depth);
        strips_.push_back({&map, image, begin, rows, columns, cells, ceil_div((rows + below) * columns, kBf16Depth) + 1,
                           (lines | 1) * kBf16Depth});
      }
    }
  }

  // Where a tile of channels begins in a phase of x: [group][block of 32 channels][step][tiles of the block][16 pairs
  // of cells][16 channels].
  int64_t x_place(const Strip& strip, int64_t group, int64_t tile, int64_t step) const {
    const int64_t block = tile / 2;
    return ((group * x_tiles_ + 2 * block) * strip.x_steps + step * tiles_of(x_tiles_, block) + tile % 2) * kBf16Tile;
  }
  static int tiles_of(int64_t tiles, int64_t block) { return tiles - 2 * block == 1 ? 1 : 2; }

  // Zero outside the map and beyond the last channel.
  void lay_x(const Strip& strip, uint32_t* x) const {
    const int64_t steps = strip.x_steps, channels = window_.group_in();
    const Conv2dMap& map = *strip.map;
    const int64_t across = std::min(window_.stride, window_.width);
    const std::vector<float> zeros(static_cast<size_t>(window_.in_channels), 0.0f);
    // First channel of cell `cell` of a phase.
    const auto find = [&](int64_t phase, int64_t cell) {
      const int64_t y = (strip.y + cell / strip.columns) * window_.stride - window_.padding + phase / across;
      const int64_t column = cell % strip.columns * window_.stride - window_.padding + phase % across;
      const bool inside = y >= 0 && y < map.height && column >= 0 && column < map.width;
      const int64_t row = map.in_row + (strip.image * map.height + y) * map.width + column;
      return inside ? args_.x + row * window_.in_channels : zeros.data();
    };
    parallel_for(context_, phases_ * steps, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t phase = i / steps, step = i % steps;
        for (int64_t pair = 0; pair < kBf16Side; ++pair) {
          const int64_t cell = step * kBf16Depth + 2 * pair;
          const float *first = find(phase, cell), *second = find(phase, cell + 1);
          for (int64_t group = 0; group < window_.groups; ++group) {
            for (int64_t tile = 0; tile < x_tiles_; ++tile) {
              const int64_t c = group * channels + tile * kBf16Side;
              uint32_t* to = x + phase * phase_words(strip) + x_place(strip, group, tile, step);
              round_part(first + c, second + c, channels - tile * kBf16Side, to + pair * kBf16Side);
            }
          }
        }
      }
    });
  }

  // The first `present` of 16 pairs, then zeros.
  static void round_part(const float* first, const float* second, int64_t present, uint32_t* to) {
    if (present >= kBf16Side) return round_to_pairs(first, second, to);
    for (int64_t i = 0; i < kBf16Side; ++i) to[i] = i < present ? bf16_pair(first[i], second[i]) : 0;
  }

  // dy: [group][output][margin, cells, margin].
  void lay_dy(const Strip& strip, Bf16* dy) const {
    const Conv2dMap& map = *strip.map;
    const int64_t outputs = window_.group_out();
    const std::vector<float> zeros(static_cast<size_t>(window_.out_channels), 0.0f);
    const auto find = [&](int64_t cell) {
      const int64_t y = cell / strip.columns, column = cell % strip.columns;
      const bool inside = y >= 0 && y < strip.rows && column >= 0 && column < map.out_width;
      const int64_t row = map.out_row + (strip.image * map.out_height + strip.y + y) * map.out_width + column;
      return inside ? args_.dy + row * window_.out_channels : zeros.data();
    };
    parallel_for(context_, strip.dy_row / kBf16Depth, 4, [&](int64_t begin, int64_t end) {
      for (int64_t step = begin; step < end; ++step) {
        const float* cells[kBf16Depth];
        for (int64_t i = 0; i < kBf16Depth; ++i) {
          const int64_t cell = step * kBf16Depth + i - kMargin;
          cells[i] = cell < 0 ? zeros.data() : find(cell);
        }
        for (int64_t group = 0; group < window_.groups; ++group) {
          for (int64_t tile = 0; tile < dy_tiles_; ++tile) {
            uint32_t pairs[kBf16Side][kBf16Side];
            const int64_t o = group * outputs + tile * kBf16Side;
            for (int64_t pair = 0; pair < kBf16Side; ++pair) {
              round_part(cells[2 * pair] + o, cells[2 * pair + 1] + o, outputs - tile * kBf16Side, pairs[pair]);
            }
            Bf16* to = dy + (group * dy_tiles_ + tile) * kBf16Side * strip.dy_row + step * kBf16Depth;
            transpose_words(pairs, to, strip.dy_row * static_cast<int64_t>(sizeof(Bf16)));
          }
        }
      }
    });
  }

  void multiply(const Strip& strip, const uint32_t* x, const Bf16* dy) const {
    const int64_t o_blocks = ceil_div(dy_tiles_, 2), c_blocks = ceil_div(x_tiles_, 2), taps = window_.taps();
    const int64_t count = window_.groups * o_blocks * c_blocks * taps;
    const int threads = static_cast<int>(std::min<int64_t>(context_.threads(), count));
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
      const Bf16Tiles tiles(path_);
      alignas(64) float sums[kBf16Sums];
      std::vector<int64_t> steps;
#pragma omp for schedule(static)
      for (int64_t i = 0; i < count; ++i) {
        const int64_t tap = i % taps, c = i / taps % c_blocks, o = i / taps / c_blocks % o_blocks;
        const int64_t group = i / taps / c_blocks / o_blocks;
        const PhaseTap& at = taps_[static_cast<size_t>(tap)];
        const int64_t shift = at.y * strip.columns + at.x;  // cells from dy to x
        const int64_t first = shift / kBf16Depth, last = ceil_div(shift + strip.dy_cells, kBf16Depth);
        steps.clear();
        for (int64_t step = first; step < last; ++step) steps.push_back(kMargin + step * kBf16Depth - shift);
        tiles.multiply({dy + (group * dy_tiles_ + 2 * o) * kBf16Side * strip.dy_row, strip.dy_row, steps.data(),
                        last - first, x + at.phase * phase_words(strip) + x_place(strip, group, 2 * c, first),
                        tiles_of(dy_tiles_, o), tiles_of(x_tiles_, c)},
                       sums);
        add(strip, group, o * kBf16Block, tap, c * kBf16Block, sums);
      }
    }
  }

  // The block of outputs from o, channels from c on.
  void add(const Strip& strip, int64_t group, int64_t o, int64_t tap, int64_t c, const float* sums) const {
    const int64_t outputs = std::min(kBf16Block, window_.group_out() - o);
    const int64_t lanes = std::min(kBf16Block, window_.group_in() - c);
    const bool first = &strip == strips_.data();
    for (int64_t r = 0; r < outputs; ++r, sums += kBf16Block) {
      const int64_t row = (group * window_.group_out() + o + r) * window_.taps() + tap;
      float* to = args_.dweight + row * window_.group_in() + c;
      for (int64_t v = 0; v < lanes; v += kLanes) {
        const Vector sum = load_vector(sums + v);
        store_lanes(to + v, first ? sum : load_lanes(to + v, lanes - v) + sum, lanes - v);
      }
    }
  }

  CpuContext& context_;
  const Conv2dBackwardWeightArgs& args_;
  const Conv2dWindow& window_;
  Bf16Path path_;
  int64_t phases_, x_tiles_, dy_tiles_;
  std::vector<PhaseTap> taps_;
  std::vector<Strip> strips_;
};

}  // namespace

void bf16_conv2d_backward_weight(CpuContext& context, const Conv2dBackwardWeightArgs& args, Bf16Path path) {
  WeightStrips(context, args, path).run();
}

}  // namespace tessera
