// Gradient of convolution weights: for every tap, dweight[o][tap][c] = sum over output cells of dy[cell][o] x[cell at
// tap][c]. The reduction runs over cells: pieces of the map are packed so that the inner loop reads both operands in a
// straight line, one piece's sums live in registers and are added to dweight. The order of a sum depends on the shape
// alone: threads share the channels, never the cells.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/direct_conv2d.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace tessera {

namespace {

constexpr int64_t kPieceCells = 192;             // output cells of a piece
constexpr int64_t kPackedFloats = 32768;         // of x packed at a time, two tiles of a 3x3 window and more of 1x1
constexpr int64_t kFewChannels = 16;             // below, the window is unrolled into channels first
constexpr int kSlimRows = kLanes == 8 ? 8 : 12;  // outputs of a tile that is one register wide

// A piece of one image of a map: output rows [y, y + rows), columns [x, x + columns).
struct Piece {
  const Conv2dMap* map;
  int64_t image, y, rows, x, columns;

  int64_t cells() const { return rows * columns; }
};

// Where the cells of a piece lie in a packed strip of input cells.
struct Strip {
  int64_t rows, columns;  // of input cells, border included
  int64_t stride;
};

// sums[o][c] over the cells of a piece, in registers. dy: [cell][Rows]; x: strip of Registers vectors, at the first
// cell of the tap. A function of its own: inlined, the sums lose their registers.
template <int Rows, int Registers>
[[gnu::noinline]] void sum_products(const Piece& piece, const Strip& strip, const float* dy, const float* x,
                                    Vector* sums) {
  Vector sum[Rows][Registers] = {};
  const int64_t step = strip.stride * Registers * kLanes, columns = piece.columns;
  for (int64_t y = 0; y < piece.rows; ++y) {
    const float* b = x + y * strip.columns * step;
    for (int64_t column = 0; column < columns; ++column) {
      Vector v[Registers];
#pragma GCC unroll 2
      for (int r = 0; r < Registers; ++r) v[r] = load_vector(b + r * kLanes);
#pragma GCC unroll 16
      for (int o = 0; o < Rows; ++o) {
#pragma GCC unroll 2
        for (int r = 0; r < Registers; ++r) sum[o][r] += dy[o] * v[r];
      }
      b += step;
      dy += Rows;
    }
  }
#pragma GCC unroll 16
  for (int o = 0; o < Rows; ++o) {
#pragma GCC unroll 2
    for (int r = 0; r < Registers; ++r) sums[o * Registers + r] = sum[o][r];
  }
}

template <int Registers>
void add_sums(const Vector* sums, float* dweight, int64_t row_stride, int64_t rows, int64_t lanes) {
  for (int64_t o = 0; o < rows; ++o) {
    for (int r = 0; r < Registers; ++r) {
      float* to = dweight + o * row_stride + r * kLanes;
      store_lanes(to, load_lanes(to, lanes - r * kLanes) + sums[o * Registers + r], lanes - r * kLanes);
    }
  }
}

// The convolution as this file sees it: either as given, or with the window unrolled into channels.
struct WeightProblem {
  const Conv2dBackwardWeightArgs& args;
  bool unrolled;
  int64_t channels;  // per group, of x as packed
  int64_t taps;
  std::vector<Piece> pieces;

  explicit WeightProblem(const Conv2dBackwardWeightArgs& a, const std::vector<Conv2dMap>& maps) : args(a) {
    const Conv2dWindow& window = a.window;
    unrolled = window.groups == 1 && window.group_in() < kFewChannels && window.taps() > 1;
    channels = unrolled ? window.taps() * window.group_in() : window.group_in();
    taps = unrolled ? 1 : window.taps();
    for (const Conv2dMap& map : maps) {
      if (map.out_rows() == 0) continue;
      const int64_t columns = std::min(map.out_width, kPieceCells);
      const int64_t rows = std::clamp<int64_t>(kPieceCells / columns, 1, map.out_height);
      for (int64_t image = 0; image < map.images; ++image) {
        for (int64_t y = 0; y < map.out_height; y += rows) {
          for (int64_t x = 0; x < map.out_width; x += columns) {
            pieces.push_back(
                {&map, image, y, std::min(rows, map.out_height - y), x, std::min(columns, map.out_width - x)});
          }
        }
      }
    }
  }

  Strip strip(const Piece& piece) const {
    if (unrolled) return {piece.rows, piece.columns, 1};
    const Conv2dWindow& w = args.window;
    return {(piece.rows - 1) * w.stride + w.height, (piece.columns - 1) * w.stride + w.width, w.stride};
  }
};

// A rectangle of dweight: input channels [c_begin, c_end) x outputs [o_begin, o_end) of some groups, every tap.
struct WeightTask {
  int64_t group_begin, group_end, c_begin, c_end, o_begin, o_end;
};

class WeightWorker {
 public:
  explicit WeightWorker(const WeightProblem& problem) : problem_(problem), window_(problem.args.window) {}

  void run(const WeightTask& task) {
    for_each_row(task, [&](float* row, int64_t) { std::fill_n(row, task.c_end - task.c_begin, 0.0f); });
    const bool slim = problem_.channels <= kLanes;
    for (const Piece& piece : problem_.pieces) {
      if (problem_.unrolled) unroll_window(task, piece);
      for (group_ = task.group_begin; group_ < task.group_end; ++group_) {
        if (slim) {
          run_piece<kSlimRows>(task, piece);
        } else {
          run_piece<kTileRows>(task, piece);
        }
      }
    }
    if (problem_.args.scale == nullptr) return;
    for_each_row(task, [&](float* row, int64_t o) {
      for (int64_t c = 0; c < task.c_end - task.c_begin; ++c) row[c] *= problem_.args.scale[o];
    });
  }

 private:
  // o counts all outputs.
  float* dweight(int64_t o, int64_t tap, int64_t c) const {
    return problem_.args.dweight + (o * problem_.taps + tap) * problem_.channels + c;
  }

  // Calls visit(first element, output) for the part of every row of dweight that belongs to the task.
  template <typename Visit>
  void for_each_row(const WeightTask& task, Visit&& visit) const {
    for (int64_t group = task.group_begin; group < task.group_end; ++group) {
      for (int64_t o = task.o_begin; o < task.o_end; ++o) {
        const int64_t output = group * window_.group_out() + o;
        for (int64_t tap = 0; tap < problem_.taps; ++tap) visit(dweight(output, tap, task.c_begin), output);
      }
    }
  }

  template <int Rows>
  void run_piece(const WeightTask& task, const Piece& piece) {
    pack_dy<Rows>(task, piece);
    constexpr int64_t kWidth = 2 * kLanes;
    const int64_t channels = task.c_end - task.c_begin, rest = channels % kWidth;
    const int64_t wide = channels / kWidth + (rest > kLanes ? 1 : 0);
    if (wide > 0) multiply<Rows, 2>(task, piece, task.c_begin, wide);
    if (rest > 0 && rest <= kLanes) multiply<Rows, 1>(task, piece, task.c_begin + wide * kWidth, 1);
  }

  // `tiles` tiles of channels from c on. As many as stay in the cache are packed in one pass over the map.
  template <int Rows, int Registers>
  void multiply(const WeightTask& task, const Piece& piece, int64_t c, int64_t tiles) {
    constexpr int64_t kWidth = Registers * kLanes;
    const Strip strip = problem_.strip(piece);
    const int64_t tile_size = strip.rows * strip.columns * kWidth;
    const int64_t together = std::max<int64_t>(1, kPackedFloats / tile_size);
    for (int64_t first = 0; first < tiles; first += together) {
      const int64_t count = std::min(together, tiles - first);
      pack_x<kWidth>(task, piece, strip, c + first * kWidth, count);
      for (int64_t tile = 0; tile < count; ++tile) {
        multiply_tile<Rows, Registers>(task, piece, strip, x_.data() + tile * tile_size, c + (first + tile) * kWidth);
      }
    }
  }

  template <int Rows, int Registers>
  void multiply_tile(const WeightTask& task, const Piece& piece, const Strip& strip, const float* packed, int64_t c) {
    for (int64_t tap = 0; tap < problem_.taps; ++tap) {
      const int64_t v = tap / window_.width, u = tap % window_.width;
      const float* x = packed + (v * strip.columns + u) * Registers * kLanes;
      const float* dy = dy_.data();
      for (int64_t o = task.o_begin; o < task.o_end; o += Rows, dy += piece.cells() * Rows) {
        Vector sums[Rows * Registers];
        sum_products<Rows, Registers>(piece, strip, dy, x, sums);
        add_sums<Registers>(sums, dweight(group_ * window_.group_out() + o, tap, c), problem_.taps * problem_.channels,
                            std::min<int64_t>(Rows, task.o_end - o), task.c_end - c);
      }
    }
  }

  // dy_: [tile of outputs][cell][Rows], missing outputs are zero.
  template <int Rows>
  void pack_dy(const WeightTask& task, const Piece& piece) {
    const int64_t outputs = task.o_end - task.o_begin, tiles = (outputs + Rows - 1) / Rows;
    dy_.resize(static_cast<size_t>(tiles * piece.cells() * Rows));
    const Conv2dMap& map = *piece.map;
    for (int64_t cell = 0; cell < piece.cells(); ++cell) {
      const int64_t y = piece.y + cell / piece.columns, x = piece.x + cell % piece.columns;
      const int64_t row = map.out_row + (piece.image * map.out_height + y) * map.out_width + x;
      const float* from = problem_.args.dy + row * window_.out_channels + group_ * window_.group_out() + task.o_begin;
      for (int64_t tile = 0; tile < tiles; ++tile) {
        float* to = &dy_[static_cast<size_t>((tile * piece.cells() + cell) * Rows)];
        copy_padded<Rows>(to, from + tile * Rows, outputs - tile * Rows);
      }
    }
  }

  // x_: [tile of channels][cell of the strip][Width], zero outside the map and beyond the last channel.
  template <int64_t Width>
  void pack_x(const WeightTask& task, const Piece& piece, const Strip& strip, int64_t c, int64_t tiles) {
    const int64_t cells = strip.rows * strip.columns;
    x_.resize(static_cast<size_t>(tiles * cells * Width));
    const Conv2dMap& map = *piece.map;
    for (int64_t cell = 0; cell < cells; ++cell) {
      const int64_t y = piece.y * window_.stride - window_.padding + cell / strip.columns;
      const int64_t x = piece.x * window_.stride - window_.padding + cell % strip.columns;
      const float* from = nullptr;
      if (problem_.unrolled) {
        from = &unrolled_[static_cast<size_t>(cell * problem_.channels + c)];
      } else if (y >= 0 && y < map.height && x >= 0 && x < map.width) {
        const int64_t row = map.in_row + (piece.image * map.height + y) * map.width + x;
        from = problem_.args.x + row * window_.in_channels + group_ * window_.group_in() + c;
      }
      for (int64_t tile = 0; tile < tiles; ++tile) {
        float* to = &x_[static_cast<size_t>((tile * cells + cell) * Width)];
        copy_padded<Width>(to, from + tile * Width, from == nullptr ? 0 : task.c_end - c - tile * Width);
      }
    }
  }

  // The first `present` of Width floats, then zeros.
  template <int64_t Width>
  [[gnu::always_inline]] static void copy_padded(float* to, const float* from, int64_t present) {
    if (present >= Width) {
      std::memcpy(to, from, Width * sizeof(float));
    } else {
      for (int64_t i = 0; i < Width; ++i) to[i] = i < present ? from[i] : 0.0f;
    }
  }

  // unrolled_: [cell][tap][input channel], of which the channels of the task are written.
  void unroll_window(const WeightTask& task, const Piece& piece) {
    unrolled_.resize(static_cast<size_t>(piece.cells() * problem_.channels));
    const Conv2dMap& map = *piece.map;
    const int64_t channels = window_.in_channels, row_size = window_.width * channels;
    float* to = unrolled_.data();
    for (int64_t cell = 0; cell < piece.cells(); ++cell) {
      const int64_t top = (piece.y + cell / piece.columns) * window_.stride - window_.padding;
      const int64_t left = (piece.x + cell % piece.columns) * window_.stride - window_.padding;
      const int64_t first = std::clamp<int64_t>(-left, 0, window_.width) * channels;
      const int64_t last = std::clamp<int64_t>(map.width - left, 0, window_.width) * channels;
      for (int64_t v = 0; v < window_.height; ++v, to += row_size) {
        const int64_t begin = std::max<int64_t>(0, task.c_begin - v * row_size);
        const int64_t end = std::min(row_size, task.c_end - v * row_size), y = top + v;
        if (begin >= end) continue;
        const bool inside = y >= 0 && y < map.height;
        const int64_t from = inside ? std::clamp(first, begin, end) : end;
        const int64_t until = inside ? std::clamp(last, from, end) : end;
        const float* row =
            problem_.args.x + (map.in_row + (piece.image * map.height + y) * map.width + left) * channels;
        if (begin < from) std::fill(to + begin, to + from, 0.0f);
        if (from < until) std::copy(row + from, row + until, to + from);
        if (until < end) std::fill(to + until, to + end, 0.0f);
      }
    }
  }

  const WeightProblem& problem_;
  const Conv2dWindow& window_;
  int64_t group_ = 0;
  std::vector<float> dy_, x_, unrolled_;
};

// Divides dweight into rectangles, one per thread: every further one would pack x or dy once more. The bits of the
// result do not depend on the division.
std::vector<WeightTask> divide(const WeightProblem& problem, int threads) {
  const Conv2dWindow& window = problem.args.window;
  const int64_t c_step = 2 * kLanes, o_step = problem.channels <= kLanes ? kSlimRows : kTileRows;
  const int64_t c_tiles = (problem.channels + c_step - 1) / c_step,
                o_tiles = (window.group_out() + o_step - 1) / o_step;
  const int64_t wanted = threads, group_parts = std::min(window.groups, wanted);
  int64_t c_parts = 1, o_parts = 1;
  while (group_parts * c_parts * o_parts < wanted) {
    // Every part of the outputs would unroll the window again.
    const int64_t c_each = c_tiles / c_parts, o_each = problem.unrolled && c_tiles > 1 ? 1 : o_tiles / o_parts;
    if (c_each < 2 && o_each < 2) break;
    ++(c_each >= o_each ? c_parts : o_parts);
  }
  std::vector<WeightTask> tasks;
  for (int64_t g = 0; g < group_parts; ++g) {
    for (int64_t c = 0; c < c_parts; ++c) {
      for (int64_t o = 0; o < o_parts; ++o) {
        tasks.push_back(
            {window.groups * g / group_parts, window.groups * (g + 1) / group_parts, c_tiles * c / c_parts * c_step,
             std::min(problem.channels, c_tiles * (c + 1) / c_parts * c_step), o_tiles * o / o_parts * o_step,
             std::min(window.group_out(), o_tiles * (o + 1) / o_parts * o_step)});
      }
    }
  }
  return tasks;
}

}  // namespace

void direct_conv2d_backward_weight(CpuContext& context, const Conv2dBackwardWeightArgs& args) {
  std::vector<Conv2dMap> maps(args.maps.begin(), args.maps.end());
  if (args.window.taps() == 1 && args.window.stride == 1 && args.window.padding == 0) {
    // Cells are independent: one long row cuts into even pieces.
    for (Conv2dMap& map : maps) map = {1, 1, map.in_rows(), 1, map.in_rows(), map.in_row, map.out_row};
  }
  const WeightProblem problem(args, maps);
  const std::vector<WeightTask> tasks = divide(problem, context.threads());
  const auto count = static_cast<int64_t>(tasks.size());
#pragma omp parallel num_threads(context.threads()) if (count > 1)
  {
    WeightWorker worker(problem);
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < count; ++i) worker.run(tasks[static_cast<size_t>(i)]);
  }
}

}  // namespace tessera
