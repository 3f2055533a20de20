#include "kernels/cpu/bf16_gather.h"

#include <omp.h>

#include <algorithm>
#include <limits>

#include "kernels/cpu/bf16_strip.h"

namespace tessera {

namespace {

constexpr int64_t kStripValues = int64_t{512} << 10;  // of a strip: it stays in the second-level cache
constexpr int64_t kLeastCells = 128;                  // of a strip that is made smaller for the sake of threads
constexpr int64_t kLine = 64 / sizeof(float);         // floats of a line of the cache
// Floats of a result that goes past the caches, more than the second level holds. On a Sapphire Rapids two layers that
// feed each other take 0.7 to 0.9 of the time then, the reading included.
constexpr int64_t kStreamed = int64_t{1} << 20;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Destination rows [y, y + rows) of an image of a grid.
struct Strip {
  const GatherGrid* grid;
  const Bf16StripShape* shape;
  const Bf16Panels::Set* set;
  int64_t image, y, rows;

  // Of the destination, with those behind the ends of rows.
  int64_t cells() const { return (rows - 1) * shape->columns() + grid->width; }
};

// What a tile of sums becomes; all from its first destination channel on.
struct TileEnd {
  const float *scale, *bias, *residual;  // or null
  float* dest;
  int64_t lanes;      // destination channels left, of which a tile has 32 at most
  bool relu, stream;  // stream: lanes are whole vectors

  void advance(int64_t channels) {
    for (const float** values : {&scale, &bias, &residual}) {
      if (*values != nullptr) *values += channels;
    }
    dest += channels;
    lanes -= channels;
  }
};

// rows: floats from the first row of the destination to that of each cell, -1: dropped. Full: all lanes of the vector
// are there.
template <bool kFull, bool kResidual, bool kStream>
void finish_column(const float* sums, const int64_t* rows, int64_t count, const TileEnd& end) {
  const int64_t lanes = kFull ? kLanes : end.lanes;
  const Vector scale = end.scale == nullptr ? Vector{} + 1.0f : load_lanes(end.scale, lanes);
  const Vector bias = end.bias == nullptr ? Vector{} : load_lanes(end.bias, lanes);
  const Vector least = Vector{} + (end.relu ? 0.0f : -std::numeric_limits<float>::infinity());
  const float* const residual = end.residual;
  float* const dest = end.dest;
  for (int64_t r = 0; r < count; ++r) {
    if (rows[r] < 0) continue;
    Vector value = load_vector(sums + r * kBf16Block) * scale + bias;
    if constexpr (kResidual) {
      value += kFull ? load_vector(residual + rows[r]) : load_lanes(residual + rows[r], lanes);
    }
    value = least > value ? least : value;  // keeps NaN
    if constexpr (kStream) {
      stream_vector(dest + rows[r], value);
    } else if constexpr (kFull) {
      store_vector(dest + rows[r], value);
    } else {
      store_lanes(dest + rows[r], value, lanes);
    }
  }
}

// A function of its own, or its caller takes the registers.
[[gnu::noinline]] void finish_tile(const float* sums, const int64_t* rows, int64_t count, TileEnd end) {
  const int64_t columns = std::min(end.lanes, kBf16Block);
  for (int64_t v = 0; v < columns; v += kLanes, sums += kLanes, end.advance(kLanes)) {
    const bool full = end.lanes >= kLanes, residual = end.residual != nullptr;
    auto* const finish = end.stream && residual ? finish_column<true, true, true>
                         : end.stream           ? finish_column<true, false, true>
                         : full && residual     ? finish_column<true, true, false>
                         : full                 ? finish_column<true, false, false>
                         : residual             ? finish_column<false, true, false>
                                                : finish_column<false, false, false>;
    finish(sums, rows, count, end);
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
    const Bf16StripShape& shape = *strip.shape;
    if (&strip != rounded_) shape.round(strip.image, strip.y, strip.rows, values_);
    rounded_ = &strip;
    steps_.clear();
    for (const Bf16Panels::Step& step : strip.set->steps)
      steps_.push_back(shape.place(step.tap, strip.rows) + step.channel);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t group = unit / panels_.blocks(), block = unit % panels_.blocks();
      const int64_t channel = group * product_.dest_channels + block * kBf16Block;
      const TileEnd tile_end = end_of(channel, product_.dest_channels - block * kBf16Block);
      Bf16Product tile{nullptr,
                       shape.cell(),
                       steps_.data(),
                       static_cast<int64_t>(steps_.size()),
                       weights_ + panels_.begin(*strip.set, group, block),
                       2,
                       panels_.tiles(block)};
      for (int64_t cell = 0; cell < strip.cells(); cell += kBf16Block) {
        const int64_t count = std::min(kBf16Block, strip.cells() - cell);
        tile.a = values_ + cell * shape.cell() + group * shape.group_size();
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

  // rows_: where each cell goes, -1 for those behind the end of a row.
  void find_cells(const Strip& strip) {
    const GatherGrid& grid = *strip.grid;
    const int64_t channels = product_.groups * product_.dest_channels;
    rows_.assign(static_cast<size_t>(strip.cells()), -1);
    for (int64_t y = 0; y < strip.rows; ++y) {
      const int64_t line = (strip.image * grid.dest_height + grid.dest_y + (strip.y + y) * grid.dest_step);
      const int64_t first = grid.dest_row + line * grid.dest_width + grid.dest_x;
      for (int64_t x = 0; x < grid.width; ++x) {
        rows_[static_cast<size_t>(y * strip.shape->columns() + x)] = (first + x * grid.dest_step) * channels;
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
  std::vector<Bf16StripShape> shapes;
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
    const Bf16StripShape& shape = shapes[i];
    const int64_t most = std::clamp<int64_t>(
        std::min(kStripValues / shape.row() - shape.halo(), ceil_div(share, grid.width)), 1, grid.height);
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
  const bool stream = product.moments.rows == nullptr && product.streams(kStreamed);
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
