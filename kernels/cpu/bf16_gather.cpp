#include "kernels/cpu/bf16_gather.h"

#include <omp.h>

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

constexpr int64_t kStripValues = int64_t{512} << 10;  // of a strip: it stays in the second-level cache
constexpr int64_t kLeastCells = 128;                  // of a strip that is made smaller for the sake of threads
constexpr int64_t kLine = 64 / sizeof(float);         // floats of a line of the cache
constexpr int64_t kStreamed = int64_t{8} << 20;       // floats of a result that no cache keeps until it is read

int64_t floor_div(int64_t a, int64_t b) { return (a - (a % b + b) % b) / b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How the strips of a grid are made.
struct StripShape {
  struct Phase {
    int64_t y, x;  // of the source cells, modulo the step
  };
  std::vector<Phase> phases;       // those that a tap needs
  std::vector<int64_t> tap_phase;  // of each tap of the set
  int64_t top = 0, left = 0;       // cells of a phase before the first destination cell
  int64_t halo = 0;                // rows beyond those of the destination
  int64_t columns = 0;             // of a row of a phase
  int64_t group_size = 0;          // channels of a group, with zeros to a multiple of 32
  int64_t cell = 0;                // values from one cell to the next

  StripShape(const GatheredProduct& product, const GatherGrid& grid) {
    const int64_t step = grid.source_step;
    int64_t bottom = 0, right = 0;
    for (int64_t t = grid.tap_begin; t < grid.tap_begin + grid.tap_count; ++t) {
      const GatherTap& tap = product.taps[static_cast<size_t>(t)];
      const int64_t y = floor_div(tap.dy, step), x = floor_div(tap.dx, step);
      const bool first = t == grid.tap_begin;
      top = first ? y : std::min(top, y), bottom = first ? y : std::max(bottom, y);
      left = first ? x : std::min(left, x), right = first ? x : std::max(right, x);
      const Phase phase{tap.dy - y * step, tap.dx - x * step};
      const auto same = [&](const Phase& other) { return other.y == phase.y && other.x == phase.x; };
      tap_phase.push_back(std::find_if(phases.begin(), phases.end(), same) - phases.begin());
      if (tap_phase.back() == static_cast<int64_t>(phases.size())) phases.push_back(phase);
    }
    halo = bottom - top;
    columns = grid.width + right - left;
    group_size = ceil_div(product.source_channels, kBf16Depth) * kBf16Depth;
    cell = product.groups * group_size;
    // An odd number of lines, or the rows of a tile would fall into a few sets of the cache.
    if (cell % 256 == 0) cell += kBf16Depth;
  }

  int64_t phase_values(int64_t rows) const { return (rows + halo) * columns * cell; }
  // Reads of whole tiles end behind the last cell.
  int64_t values(int64_t rows) const {
    return static_cast<int64_t>(phases.size()) * phase_values(rows) + kBf16Block * cell;
  }
};

// Destination rows [y, y + rows) of an image of a grid.
struct Strip {
  const GatherGrid* grid;
  const StripShape* shape;
  const Bf16Panels::Set* set;
  int64_t image, y, rows;

  // Of the destination, with those behind the ends of rows.
  int64_t cells() const { return (rows - 1) * shape->columns + grid->width; }
};

// What a tile of sums becomes; all from its first destination channel on.
struct TileEnd {
  const float *scale, *bias, *residual;  // or null
  float* dest;
  int64_t lanes;  // destination channels left, of which a tile has 32 at most
  bool relu, stream;
};

// rows: floats from the first row of the destination to that of each cell, -1: dropped. A function of its own, or its
// caller takes the registers.
[[gnu::noinline]] void finish_tile(const float* sums, const int64_t* rows, int64_t count, const TileEnd& given) {
  const TileEnd end = given;
  for (int64_t v = 0; v < std::min(end.lanes, kBf16Block); v += kLanes) {
    const int64_t lanes = end.lanes - v;
    const Vector scale = end.scale == nullptr ? Vector{} + 1.0f : load_lanes(end.scale + v, lanes);
    const Vector bias = end.bias == nullptr ? Vector{} : load_lanes(end.bias + v, lanes);
    for (int64_t r = 0; r < count; ++r) {
      if (rows[r] < 0) continue;
      Vector value = load_vector(sums + r * kBf16Block + v) * scale + bias;
      if (end.residual != nullptr) value += load_lanes(end.residual + rows[r] + v, lanes);
      if (end.relu) value = Vector{} > value ? Vector{} : value;  // keeps NaN
      float* to = end.dest + rows[r] + v;
      if (end.stream) {
        stream_vector(to, value);
      } else {
        store_lanes(to, value, lanes);
      }
    }
  }
}

// What one thread needs for the strips it takes.
class StripWorker {
 public:
  StripWorker(const GatheredProduct& product, const float* scale, const Bf16Panels& panels, const uint32_t* weights,
              bool stream, Bf16Path path, Bf16* values)
      : product_(product),
        scale_(scale),
        panels_(panels),
        weights_(weights),
        stream_(stream),
        tiles_(path),
        values_(values) {}

  // Units (group, block of destination channels) [begin, end).
  void run(const Strip& strip, int64_t begin, int64_t end) {
    find_cells(strip);
    if (&strip != rounded_) round_source(strip);
    rounded_ = &strip;
    const StripShape& shape = *strip.shape;
    steps_.clear();
    for (const Bf16Panels::Step& step : strip.set->steps) steps_.push_back(place_of(strip, step));
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t group = unit / panels_.blocks(), block = unit % panels_.blocks();
      const int64_t channel = group * product_.dest_channels + block * kBf16Block;
      const TileEnd tile_end = end_of(channel, product_.dest_channels - block * kBf16Block);
      Bf16Product tile{nullptr,
                       shape.cell,
                       steps_.data(),
                       static_cast<int64_t>(steps_.size()),
                       weights_ + panels_.begin(*strip.set, group, block),
                       2,
                       panels_.tiles(block)};
      for (int64_t cell = 0; cell < strip.cells(); cell += kBf16Block) {
        const int64_t count = std::min(kBf16Block, strip.cells() - cell);
        tile.a = values_ + cell * shape.cell + group * shape.group_size;
        tile.row_tiles = count <= kBf16Side ? 1 : 2;
        if (product_.residual != nullptr) fetch_residual(cell + kBf16Block, channel);
        tiles_.multiply(tile, sums_);
        finish_tile(sums_, rows_.data() + cell, count, tile_end);
      }
    }
  }

 private:
  TileEnd end_of(int64_t channel, int64_t lanes) const {
    const auto from = [&](const float* values) { return values == nullptr ? nullptr : values + channel; };
    return {from(scale_), from(product_.bias), from(product_.residual), product_.dest + channel, lanes, product_.relu,
            stream_};
  }

  // For the tile after the one at work.
  void fetch_residual(int64_t cell, int64_t channel) const {
    const auto last = std::min(cell + kBf16Block, static_cast<int64_t>(rows_.size()));
    for (; cell < last; ++cell) {
      const int64_t row = rows_[static_cast<size_t>(cell)];
      if (row < 0) continue;
      for (int64_t v = 0; v < kBf16Block; v += kLine) __builtin_prefetch(product_.residual + row + channel + v);
    }
  }

  int64_t place_of(const Strip& strip, const Bf16Panels::Step& step) const {
    const StripShape& shape = *strip.shape;
    const GatherTap& tap = product_.taps[static_cast<size_t>(step.tap)];
    const int64_t y = floor_div(tap.dy, strip.grid->source_step) - shape.top;
    const int64_t x = floor_div(tap.dx, strip.grid->source_step) - shape.left;
    const int64_t phase = shape.tap_phase[static_cast<size_t>(step.tap - strip.grid->tap_begin)];
    return phase * shape.phase_values(strip.rows) + (y * shape.columns + x) * shape.cell + step.channel;
  }

  // rows_: where each cell goes, -1 for those behind the end of a row.
  void find_cells(const Strip& strip) {
    const GatherGrid& grid = *strip.grid;
    const int64_t channels = product_.groups * product_.dest_channels;
    rows_.assign(static_cast<size_t>(strip.cells()), -1);
    for (int64_t y = 0; y < strip.rows; ++y) {
      const int64_t line = (strip.image * grid.dest_height + grid.dest_y + (strip.y + y) * grid.dest_step);
      const int64_t first = grid.dest_row + line * grid.dest_width + grid.dest_x;
      for (int64_t x = 0; x < grid.width; ++x) {
        rows_[static_cast<size_t>(y * strip.shape->columns + x)] = (first + x * grid.dest_step) * channels;
      }
    }
  }

  void round_source(const Strip& strip) {
    const StripShape& shape = *strip.shape;
    const GatherGrid& grid = *strip.grid;
    const int64_t image = grid.source_row + strip.image * grid.source_height * grid.source_width;
    Bf16* to = values_;
    for (const StripShape::Phase& phase : shape.phases) {
      for (int64_t y = 0; y < strip.rows + shape.halo; ++y, to += shape.columns * shape.cell) {
        const int64_t source_y = (strip.y + y + shape.top) * grid.source_step + phase.y;
        if (source_y < 0 || source_y >= grid.source_height) {
          std::fill_n(to, shape.columns * shape.cell, Bf16{0});
        } else {
          round_row(strip, phase, product_.source + (image + source_y * grid.source_width) * source_channels(), to);
        }
      }
    }
    std::fill_n(to, kBf16Block * shape.cell, Bf16{0});
  }

  int64_t source_channels() const { return product_.groups * product_.source_channels; }

  // from: first channel of the source row.
  void round_row(const Strip& strip, const StripShape::Phase& phase, const float* from, Bf16* to) const {
    const StripShape& shape = *strip.shape;
    const int64_t step = strip.grid->source_step, width = strip.grid->source_width, channels = source_channels();
    const int64_t first = shape.left * step + phase.x;  // source column of the first cell
    const int64_t begin = std::clamp<int64_t>(ceil_div(std::max<int64_t>(0, -first), step), 0, shape.columns);
    const int64_t end = std::clamp<int64_t>(floor_div(width - 1 - first, step) + 1, begin, shape.columns);
    std::fill_n(to, begin * shape.cell, Bf16{0});
    std::fill_n(to + end * shape.cell, (shape.columns - end) * shape.cell, Bf16{0});
    from += (first + begin * step) * channels;
    to += begin * shape.cell;
    for (int64_t column = begin; column < end; ++column, from += step * channels, to += shape.cell) {
      if (shape.group_size == product_.source_channels) {
        round_to_bf16(from, channels, to);
        continue;
      }
      for (int64_t group = 0; group < product_.groups; ++group) {
        Bf16* of_group = to + group * shape.group_size;
        round_to_bf16(from + group * product_.source_channels, product_.source_channels, of_group);
        std::fill(of_group + product_.source_channels, of_group + shape.group_size, Bf16{0});
      }
    }
  }

  const GatheredProduct& product_;
  const float* scale_;
  const Bf16Panels& panels_;
  const uint32_t* weights_;
  bool stream_;
  Bf16Tiles tiles_;
  Bf16* values_;
  const Strip* rounded_ = nullptr;
  std::vector<int64_t> rows_, steps_;
  alignas(64) float sums_[kBf16Sums];
};

// Too large to stay in a cache until it is read, and made of whole lines: written past the caches, its lines are not
// read first.
bool streams(const GatheredProduct& product) {
  int64_t cells = 0;
  for (const GatherGrid& grid : product.grids) cells += grid.cells();
  return product.dest_channels % kLine == 0 &&
         reinterpret_cast<uintptr_t>(product.dest) % (kLine * sizeof(float)) == 0 &&
         cells * product.groups * product.dest_channels >= kStreamed;
}

}  // namespace

Bf16Panels::Bf16Panels(const GatheredProduct& product) : dest_channels_(product.dest_channels) {
  for (const GatherGrid& grid : product.grids) {
    if (!sets_.empty() && sets_.back().tap_begin == grid.tap_begin && sets_.back().tap_count == grid.tap_count)
      continue;
    Set set{grid.tap_begin, grid.tap_count, words_, {}};
    const auto dy_of = [&](int64_t tap) { return product.taps[static_cast<size_t>(tap)].dy; };
    for (int64_t tap = set.tap_begin, end; tap < set.tap_begin + set.tap_count; tap = end) {
      for (end = tap + 1; end < set.tap_begin + set.tap_count && dy_of(end) == dy_of(tap);) ++end;
      for (int64_t channel = 0; channel < product.source_channels; channel += kBf16Depth) {
        for (int64_t of_row = tap; of_row < end; ++of_row) set.steps.push_back({of_row, channel});
      }
    }
    sets_.push_back(std::move(set));
    words_ = begin(sets_.back(), product.groups, 0);
  }
}

const Bf16Panels::Set& Bf16Panels::set_of(const GatherGrid& grid) const {
  return *std::find_if(sets_.begin(), sets_.end(), [&](const Set& set) {
    return set.tap_begin == grid.tap_begin && set.tap_count == grid.tap_count;
  });
}

void run_bf16_gather(CpuContext& context, const GatheredProduct& product, const float* scale, const Bf16Panels& panels,
                     const uint32_t* weights, Bf16Path path) {
  const int64_t threads = context.threads(), units = product.groups * panels.blocks();
  int64_t cells = 0, values = 0;
  std::vector<StripShape> shapes;
  for (const GatherGrid& grid : product.grids) {
    cells += grid.cells();
    shapes.emplace_back(product, grid);
  }
  if (cells == 0 || units == 0) return;
  const int64_t share = threads == 1 ? cells : std::max(kLeastCells, cells / (4 * threads));
  std::vector<Strip> strips;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const GatherGrid& grid = product.grids[i];
    if (grid.cells() == 0) continue;
    const StripShape& shape = shapes[i];
    const int64_t row = std::max<int64_t>(1, static_cast<int64_t>(shape.phases.size())) * shape.columns * shape.cell;
    const int64_t most =
        std::clamp<int64_t>(std::min(kStripValues / row - shape.halo, ceil_div(share, grid.width)), 1, grid.height);
    const int64_t count = ceil_div(grid.height, most);
    for (int64_t image = 0; image < grid.images; ++image) {
      for (int64_t strip = 0; strip < count; ++strip) {
        const int64_t begin = grid.height * strip / count, end = grid.height * (strip + 1) / count;
        strips.push_back({&grid, &shape, &panels.set_of(grid), image, begin, end - begin});
        values = std::max(values, shape.values(end - begin));
      }
    }
  }
  const auto count = static_cast<int64_t>(strips.size());
  // Small maps with many channels are also divided by channels.
  const int64_t parts = threads == 1 ? 1 : std::clamp<int64_t>(2 * threads / count, 1, units);
  const bool stream = streams(product);
  const int64_t each = ceil_div(values, kBf16Depth) * kBf16Depth;
  const int workers = static_cast<int>(std::min(threads, count * parts));
  Scratch<Bf16> memory(context, static_cast<size_t>(workers * each));
#pragma omp parallel num_threads(workers) if (workers > 1)
  {
    StripWorker worker(product, scale, panels, weights, stream, path, memory.data() + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < count * parts; ++i) {
      const int64_t part = i % parts;
      worker.run(strips[static_cast<size_t>(i / parts)], units * part / parts, units * (part + 1) / parts);
    }
    if (stream) finish_streaming();
  }
}

}  // namespace tessera
