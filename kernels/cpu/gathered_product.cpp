#include "kernels/cpu/gathered_product.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/row_moments.h"

namespace tessera {

namespace {

constexpr int64_t kBlockCells = 96;   // cells of a task: their source rows stay in the second-level cache
constexpr int64_t kPanelDepth = 256;  // products summed in registers before the sums go to memory
constexpr int64_t kFewChannels = 16;  // below, neighbouring taps are read as one
constexpr int64_t kLine = 16;         // floats of a line of the cache
// Floats of a result that no cache keeps until it is read: an expansion 64 -> 256 at 200x336 writes four times as much
// as it reads.
constexpr int64_t kStreamed = int64_t{8} << 20;
constexpr int64_t kFewUnits = 8;        // that read a row: its first read weighs
constexpr int64_t kTasksPerThread = 8;  // at least, where channels allow it: threads end together
constexpr int kNarrowRows = 8;          // rows of a tile that is one register wide
static_assert(kBlockCells % kTileRows == 0 && kBlockCells % kNarrowRows == 0);

// What one tile needs beside its operands.
struct TileEnd {
  bool first, last;       // panel of the sum
  int64_t lanes;          // destination channels left from here
  const float* bias;      // or null
  const float* residual;  // base, or null
  const float* dest;      // base that residual is parallel to
  bool relu;
  bool stream;  // whole tiles go past the caches
};

// ReLU; keeps NaN.
[[gnu::always_inline]] inline Vector rectified(Vector value) { return Vector{} > value ? Vector{} : value; }

// Where a whole tile goes: the rows of the destination, at the tile's first channel.
struct TileTarget {
  float* const* rows;
  int64_t offset;
  const TileEnd& end;
};

// Rows x Registers sums, in registers from the first product to the last; finished and written to the target, or, where
// that is null, to `sums` as they are. rows: pointers, kBlockCells per tap. A function of its own, or the pointers of
// the caller take the place of those of the rows.
template <int Rows, int Registers>
[[gnu::noinline]] void multiply_rows(const float* const* rows, int64_t taps, int64_t offset, int64_t channels,
                                     const float* panel, const TileTarget* target, Vector* sums) {
  Vector sum[Rows][Registers] = {};
  for (int64_t tap = 0; tap < taps; ++tap) {
    const float* a[Rows];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) a[r] = rows[tap * kBlockCells + r] + offset;
    for (int64_t k = 0; k < channels; ++k) {
      Vector b[Registers];
#pragma GCC unroll 2
      for (int v = 0; v < Registers; ++v) b[v] = load_vector(panel + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < Registers; ++v) sum[r][v] += a[r][k] * b[v];
      }
      panel += Registers * kLanes;
    }
  }
  const auto for_each = [&](auto&& visit) [[gnu::always_inline]] {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < Registers; ++v) visit(r, v, sum[r][v]);
    }
  };
  if (target == nullptr) {
    for_each([&](int r, int v, Vector& value) { sums[r * Registers + v] = value; });
    return;
  }
  const TileEnd& end = target->end;
  const auto at = [&](int r, int v) { return target->rows[r] + target->offset + v * kLanes; };
  if (!end.first) for_each([&](int r, int v, Vector& value) { value += load_vector(at(r, v)); });
  if (end.last) {
    if (end.bias != nullptr) {
      for_each([&](int, int v, Vector& value) { value += load_vector(end.bias + v * kLanes); });
    }
    if (end.residual != nullptr) {
      for_each([&](int r, int v, Vector& value) { value += load_vector(end.residual + (at(r, v) - end.dest)); });
    }
    if (end.relu) for_each([&](int, int, Vector& value) { value = rectified(value); });
  }
  if (end.stream) return for_each([&](int r, int v, Vector& value) { stream_vector(at(r, v), value); });
  for_each([&](int r, int v, Vector& value) { store_vector(at(r, v), value); });
}

// One register of channels in groups of Group: lane l sums over the channels of its group, found in the same register.
template <int Rows, int Group>
[[gnu::noinline]] void multiply_lane_groups(const float* const* rows, int64_t taps, int64_t offset, const float* panel,
                                            Vector* sums) {
  using Index = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
  Vector sum[Rows] = {};
  for (int64_t tap = 0; tap < taps; ++tap, panel += Group * kLanes) {
    Vector a[Rows], b[Group];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) a[r] = load_vector(rows[tap * kBlockCells + r] + offset);
#pragma GCC unroll 4
    for (int k = 0; k < Group; ++k) {
      b[k] = load_vector(panel + k * kLanes);
      Index member;
#pragma GCC unroll 16
      for (int lane = 0; lane < kLanes; ++lane) member[lane] = lane / Group * Group + k;
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) sum[r] += __builtin_shuffle(a[r], member) * b[k];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) sums[r] = sum[r];
}

// Adds the sums to the destination, or finishes them: tiles that are not whole.
template <int Registers>
void finish_tile(const Vector* sums, float* const* dest, int64_t dest_offset, int64_t count, const TileEnd& end) {
  for (int64_t r = 0; r < count; ++r) {
    for (int v = 0; v < Registers; ++v) {
      const int64_t lanes = end.lanes - v * kLanes;
      float* to = dest[r] + dest_offset + v * kLanes;
      Vector value = sums[r * Registers + v];
      if (!end.first) value += load_lanes(to, lanes);
      if (end.last) {
        if (end.bias != nullptr) value += load_lanes(end.bias + v * kLanes, lanes);
        if (end.residual != nullptr) value += load_lanes(end.residual + (to - end.dest), lanes);
        if (end.relu) value = rectified(value);
      }
      store_lanes(to, value, lanes);
    }
  }
}

// Cells [begin, begin + count) of a grid with all they need: neighbours by tap and destination rows.
class CellBlock {
 public:
  CellBlock(const GatheredProduct& product, const float* zeros)
      : product_(product), zeros_(zeros), rows_(std::max<size_t>(1, product.taps.size()) * kBlockCells) {}

  void gather(const GatherGrid& grid, int64_t begin, int64_t count) {
    count_ = count;
    taps_ = grid.tap_count;
    depth_ = product_.source_channels;
    const bool by_runs = product_.groups == 1 && product_.lane_group == 0 && depth_ < kFewChannels && find_runs(grid);
    if (by_runs) {
      taps_ = static_cast<int64_t>(runs_.size());
      depth_ *= run_length_;
      copies_.resize(static_cast<size_t>(kBlockCells * taps_ * depth_));
    }
    for (int64_t i = 0; i < kBlockCells; ++i) {
      const int64_t cell = begin + std::min(i, count - 1);
      const int64_t x = cell % grid.width, y = cell / grid.width % grid.height, n = cell / grid.width / grid.height;
      if (by_runs) {
        find_run_neighbours(grid, n, y, x, i);
      } else {
        find_neighbours(grid, n, y, x, i);
      }
      const int64_t row = grid.dest_row + (n * grid.dest_height + grid.dest_y + y * grid.dest_step) * grid.dest_width +
                          grid.dest_x + x * grid.dest_step;
      dest_[i] = product_.dest + row * product_.groups * product_.dest_channels;
    }
  }

  int64_t count() const { return count_; }
  int64_t taps() const { return taps_; }
  int64_t depth() const { return depth_; }
  const float* const* rows(int64_t tap, int64_t cell) const {
    return &rows_[static_cast<size_t>(tap * kBlockCells + cell)];
  }
  float* const* dest(int64_t cell) const { return dest_ + cell; }

 private:
  const float* image(const GatherGrid& grid, int64_t n) const {
    return product_.source +
           (grid.source_row + n * grid.source_height * grid.source_width) * product_.groups * product_.source_channels;
  }

  void find_neighbours(const GatherGrid& grid, int64_t n, int64_t y, int64_t x, int64_t cell) {
    const float* source = image(grid, n);
    for (int64_t t = 0; t < taps_; ++t) {
      const GatherTap& tap = product_.taps[static_cast<size_t>(grid.tap_begin + t)];
      const int64_t sy = y * grid.source_step + tap.dy, sx = x * grid.source_step + tap.dx;
      const bool inside = sy >= 0 && sy < grid.source_height && sx >= 0 && sx < grid.source_width;
      rows_[static_cast<size_t>(t * kBlockCells + cell)] =
          inside ? source + (sy * grid.source_width + sx) * product_.groups * product_.source_channels : zeros_;
    }
  }

  // Few channels: taps that lie side by side in the source are read as one of as many channels. False where they do
  // not fall into runs of one length.
  bool find_runs(const GatherGrid& grid) {
    runs_.clear();
    int64_t length = 0;
    for (int64_t t = 0; t < taps_; ++t) {
      const GatherTap& tap = product_.taps[static_cast<size_t>(grid.tap_begin + t)];
      if (!runs_.empty() && runs_.back().dy == tap.dy && runs_.back().dx + length == tap.dx) {
        ++length;
      } else {
        if (runs_.size() > 1 && length != run_length_) return false;
        run_length_ = length;
        runs_.push_back(tap);
        length = 1;
      }
    }
    if (runs_.size() > 1 && length != run_length_) return false;
    run_length_ = length;
    return length > 1;
  }

  // A run that reaches over the border is copied, with zeros for what lies outside.
  void find_run_neighbours(const GatherGrid& grid, int64_t n, int64_t y, int64_t x, int64_t cell) {
    const float* source = image(grid, n);
    const int64_t channels = product_.source_channels;
    for (int64_t t = 0; t < taps_; ++t) {
      const GatherTap& first_tap = runs_[static_cast<size_t>(t)];
      const int64_t sy = y * grid.source_step + first_tap.dy, sx = x * grid.source_step + first_tap.dx;
      const float*& row = rows_[static_cast<size_t>(t * kBlockCells + cell)];
      const float* from = source + (sy * grid.source_width + sx) * channels;
      const bool row_inside = sy >= 0 && sy < grid.source_height;
      if (row_inside && sx >= 0 && sx + run_length_ <= grid.source_width) {
        row = from;
        continue;
      }
      float* copy = &copies_[static_cast<size_t>((cell * taps_ + t) * depth_)];
      row = copy;
      const int64_t first = row_inside ? std::clamp<int64_t>(-sx, 0, run_length_) : run_length_;
      const int64_t last = row_inside ? std::clamp<int64_t>(grid.source_width - sx, first, run_length_) : first;
      std::fill_n(copy, first * channels, 0.0f);
      std::copy(from + first * channels, from + last * channels, copy + first * channels);
      std::fill_n(copy + last * channels, (run_length_ - last) * channels, 0.0f);
    }
  }

  const GatheredProduct& product_;
  const float* zeros_;
  std::vector<const float*> rows_;  // [tap][cell]
  std::vector<GatherTap> runs_;     // first tap of each
  int64_t run_length_ = 0;
  std::vector<float> copies_;
  float* dest_[kBlockCells] = {};
  int64_t count_ = 0, taps_ = 0, depth_ = 0;
};

// One panel of weights (some taps, or some channels of one tap) against every cell of the block. Meanwhile the next one
// is fetched, a share per tile, and with fetch_rows (a panel of one tap) the rows of the next tile.
template <int Rows, int Registers>
void multiply_panel(const CellBlock& block, int64_t tap, int64_t taps, int64_t offset, int64_t channels,
                    const float* panel, const float* next, int64_t dest_offset, const TileEnd& end, bool fetch_rows) {
  const int64_t lines = taps * channels * Registers * kLanes / kLine;
  const int64_t share = (lines * Rows + block.count() - 1) / block.count() * kLine;
  const bool full = end.lanes >= Registers * kLanes;
  for (int64_t cell = 0; cell < block.count(); cell += Rows) {
    for (int64_t i = 0; i < share; i += kLine) __builtin_prefetch(next + i);
    next += share;
    if (fetch_rows && cell + Rows < block.count()) {
      const float* const* ahead = block.rows(tap, cell + Rows);
      for (int64_t r = 0; r < Rows; ++r) {
        for (int64_t k = 0; k < channels; k += kLine) __builtin_prefetch(ahead[r] + offset + k);
      }
    }
    if (full && block.count() - cell >= Rows) {
      const TileTarget target{block.dest(cell), dest_offset, end};
      multiply_rows<Rows, Registers>(block.rows(tap, cell), taps, offset, channels, panel, &target, nullptr);
      continue;
    }
    Vector sums[Rows * Registers];
    multiply_rows<Rows, Registers>(block.rows(tap, cell), taps, offset, channels, panel, nullptr, sums);
    finish_tile<Registers>(sums, block.dest(cell), dest_offset, std::min<int64_t>(Rows, block.count() - cell), end);
  }
}

// Registers of channels [begin, end) of the cells, see GatheredProduct::lane_group.
template <int Group>
void run_lane_groups(const GatheredProduct& product, const CellBlock& block, int64_t tap_begin, const float* packed,
                     int64_t begin, int64_t end) {
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t offset = unit * kLanes;
    const float* panel = packed + product.block_begin(unit, 0) + tap_begin * Group * kLanes;
    const float* bias = product.bias == nullptr ? nullptr : product.bias + offset;
    const TileEnd tile_end{true, true, kLanes, bias, product.residual, product.dest, product.relu, false};
    for (int64_t cell = 0; cell < block.count(); cell += kTileRows) {
      Vector sums[kTileRows];
      multiply_lane_groups<kTileRows, Group>(block.rows(0, cell), block.taps(), offset, panel, sums);
      finish_tile<1>(sums, block.dest(cell), offset, std::min<int64_t>(kTileRows, block.count() - cell), tile_end);
    }
  }
}

// Units (group, block of destination channels) [begin, end) of the cells.
void run_units(const GatheredProduct& product, const CellBlock& block, int64_t tap_begin, const float* packed,
               int64_t begin, int64_t end, bool stream) {
  if (product.lane_group == 1) return run_lane_groups<1>(product, block, tap_begin, packed, begin, end);
  if (product.lane_group == 2) return run_lane_groups<2>(product, block, tap_begin, packed, begin, end);
  if (product.lane_group == 4) return run_lane_groups<4>(product, block, tap_begin, packed, begin, end);
  const int64_t depth = block.depth(), channels = std::min(depth, kPanelDepth);
  const int64_t taps = std::max<int64_t>(1, kPanelDepth / std::max<int64_t>(1, depth));
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t group = unit / product.blocks(), at = unit % product.blocks();
    const int64_t width = product.block_width(at), dest_offset = group * product.dest_channels + at * 2 * kLanes;
    const int64_t ahead = std::min(unit + 1, end - 1), next_at = ahead % product.blocks();
    const float* weights = packed + product.block_begin(group, at) + tap_begin * product.source_channels * width;
    const float* next_weights = packed + product.block_begin(ahead / product.blocks(), next_at) +
                                tap_begin * product.source_channels * product.block_width(next_at);
    for (int64_t tap = 0; tap < std::max<int64_t>(1, block.taps()); tap += taps) {
      for (int64_t channel = 0; channel < std::max<int64_t>(1, depth); channel += kPanelDepth) {
        const int64_t tap_count = std::min(taps, block.taps() - tap);
        const int64_t channel_count = std::min(channels, depth - channel);
        const bool last = tap + taps >= block.taps() && channel + kPanelDepth >= depth;
        const bool first = tap == 0 && channel == 0;
        const TileEnd tile_end{first,
                               last,
                               product.dest_channels - at * 2 * kLanes,
                               product.bias == nullptr ? nullptr : product.bias + dest_offset,
                               product.residual,
                               product.dest,
                               product.relu,
                               stream && first && last};
        const int64_t offset = group * product.source_channels + channel;
        const float* panel = weights + (tap * depth + channel) * width;
        const float* next = last ? next_weights : panel + tap_count * channel_count * width;
        const bool fetch_rows = unit == begin && end - begin <= kFewUnits && block.taps() == 1;
        if (width == kLanes) {
          multiply_panel<kNarrowRows, 1>(block, tap, tap_count, offset, channel_count, panel, next, dest_offset,
                                         tile_end, fetch_rows);
        } else {
          multiply_panel<kTileRows, 2>(block, tap, tap_count, offset, channel_count, panel, next, dest_offset, tile_end,
                                       fetch_rows);
        }
      }
    }
  }
}

// First destination channel of a unit; of the one behind the last, all channels.
int64_t first_channel(const GatheredProduct& product, int64_t unit) {
  return unit / product.blocks() * product.dest_channels + unit % product.blocks() * 2 * kLanes;
}

// Statistics of the rows of a task while a cache has them, of the channels of units [begin, end).
void leave_moments(const GatheredProduct& product, const CellBlock& block, int64_t part, int64_t begin, int64_t end) {
  const int64_t channels = product.groups * product.dest_channels, first = first_channel(product, begin);
  float* mean = product.moments.values + part * 2 * channels + first;
  column_moments(*block.dest(0) + first, block.count(), channels, first_channel(product, end) - first, mean,
                 mean + channels);
  if (begin == 0) product.moments.rows[part] = static_cast<int32_t>(block.count());
}

}  // namespace

bool GatheredProduct::streams(int64_t least_floats) const {
  int64_t cells = 0;
  for (const GatherGrid& grid : grids) cells += grid.cells();
  return dest_channels % kLine == 0 && reinterpret_cast<uintptr_t>(dest) % (kLine * sizeof(float)) == 0 &&
         cells * groups * dest_channels >= least_floats;
}

void run_gathered_product(CpuContext& context, const GatheredProduct& product, const float* packed) {
  struct Task {
    const GatherGrid* grid;
    int64_t begin;
  };
  std::vector<Task> tasks;
  for (const GatherGrid& grid : product.grids) {
    for (int64_t begin = 0; begin < grid.cells(); begin += kBlockCells) tasks.push_back({&grid, begin});
  }
  const int64_t units = product.groups * product.blocks(), count = static_cast<int64_t>(tasks.size());
  if (count == 0 || units == 0) return;
  // Small maps with many channels are also divided by channels.
  const int64_t least = context.threads() == 1 ? 1 : kTasksPerThread * context.threads();
  const int64_t parts = std::clamp<int64_t>((least + count - 1) / count, 1, units);
  const bool moments = product.moments.rows != nullptr, stream = !moments && product.streams(kStreamed);
  const std::vector<float> zeros(static_cast<size_t>(product.groups * product.source_channels), 0.0f);
#pragma omp parallel num_threads(context.threads()) if (count * parts > 1)
  {
    CellBlock block(product, zeros.data());
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < count * parts; ++i) {
      const Task& task = tasks[static_cast<size_t>(i / parts)];
      const int64_t part = i % parts;
      block.gather(*task.grid, task.begin, std::min(kBlockCells, task.grid->cells() - task.begin));
      const int64_t begin = units * part / parts, end = units * (part + 1) / parts;
      run_units(product, block, task.grid->tap_begin, packed, begin, end, stream);
      if (moments) leave_moments(product, block, task.grid->first_part + task.begin / kBlockCells, begin, end);
    }
    if (stream) finish_streaming();
  }
}

}  // namespace tessera
