// The map is scored, one scalar per map pixel and cell, and the score is interpolated: bit = bilinear(X . D_i) > 0
// (kernels/grid_binarize.h); its naive ancestors are kernels/lab/grid_binarize.
//   plan: one block; a thread finds the rectangle of a box, thread 0 adds up the bytes, 128 boxes at a time
//   1. places and boundaries: where pixel columns and rows lie on the map; the cells of all boxes (double, once)
//   2. separators: a warp per cell makes D_i = F_i/|F_i| - B_i/|B_i|
//   3. bits: a block of 256 threads owns 256 x 64 pixels of a box. It scores the map pixels that they read into shared
//      memory, once per cell they meet; then a warp takes 32 columns x 16 rows: a lane keeps the two horizontally
//      interpolated scores of its column until the map row changes, so a pixel costs one multiply-add, one comparison
//      and its share of a vote that makes 32 bits
// 100 boxes of a tenth of 800 x 1088, C = 16, k = 3: 3 M multiply-adds for scores, 9 M for pixels, 1.1 MB written, the
// map (0.9 MB) stays in the second-level cache. Maps finer than the picture (small pictures) are scored pixel by pixel.
#include "kernels/grid_binarize.h"

#include "kernels/cuda/grid_axis.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kGridBinarizeThreads = 256, kWarps = kGridBinarizeThreads / 32, kPlanThreads = 128;
constexpr int kTileColumns = 256, kTileRows = 64, kGroupRows = 16;
constexpr int64_t kSlack = 32, kAlignment = 64;  // bytes; layout of the masks, as the CPU backend makes it
constexpr int64_t kMostScores = 10240;           // floats of shared memory

// Block: the whole plan.
__global__ void __launch_bounds__(kPlanThreads, 1) plan_kernel(GridBinarizePlanArgs args) {
  SHARED(bytes, int64_t[kPlanThreads]);
  SHARED(begins, int64_t[kPlanThreads]);
  SHARED(total, int64_t);
  int64_t valid = args.count;
  if (args.valid != nullptr) valid = max(int64_t{0}, min(int64_t{*args.valid}, args.count));
  if (threadIdx.x == 0) total = 0;
  for (int64_t first = 0; first < args.count; first += kPlanThreads) {
    const int64_t box = first + threadIdx.x;
    PixelRectangle rectangle{0, 0, 0, 0};
    if (box < valid) {
      const float* corners = args.boxes + 4 * box;
      const GridAxis columns{corners[0], corners[2], 1.0, args.original_width, 1};
      const GridAxis rows{corners[1], corners[3], 1.0, args.original_height, 1};
      const int32_t left = columns.begin(0), top = rows.begin(0);
      rectangle = {left, top, columns.begin(1) - left, rows.begin(1) - top};
      if (rectangle.width <= 0 || rectangle.height <= 0) rectangle = {0, 0, 0, 0};
    }
    bytes[threadIdx.x] =
        rectangle.width > 0 ? ceil_div(rectangle.row_bytes() * rectangle.height + kSlack, kAlignment) * kAlignment : 0;
    __syncthreads();
    if (threadIdx.x == 0) {
      // In order: a box that does not fit leaves its room to later ones.
      for (int i = 0; i < kPlanThreads; ++i) {
        begins[i] = total;
        if (args.capacity >= 0 && total + bytes[i] > args.capacity) bytes[i] = 0;
        total += bytes[i];
      }
    }
    __syncthreads();
    if (box < args.count) {
      args.rectangles[box] = bytes[threadIdx.x] > 0 ? rectangle : PixelRectangle{0, 0, 0, 0};
      args.offsets[box] = begins[threadIdx.x];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) args.offsets[args.count] = total;
}

// Where a pixel lies on the map along one axis.
struct Place {
  int32_t index;   // left neighbour, at most extent - 2
  float fraction;  // weight of the right one
};

struct Tables {
  Place* columns;       // [original_width]
  Place* rows;          // [original_height]
  int32_t* boundaries;  // [count, 2, k + 1] begin of the cells: columns, rows
  float* separators;    // [count, k * k, channels]
};

__device__ __forceinline__ Place place_of(int64_t pixel, int64_t pixels, int64_t resized, double stride,
                                          int64_t extent) {
  const double scale = static_cast<double>(resized) / static_cast<double>(pixels) / stride;
  double at = (static_cast<double>(pixel) + 0.5) * scale - 0.5;
  const double most = static_cast<double>(extent - 1);
  at = at < 0.0 ? 0.0 : at > most ? most : at;
  const int64_t left = min(static_cast<int64_t>(at), max(extent - 2, int64_t{0}));
  return {static_cast<int32_t>(left), static_cast<float>(at - static_cast<double>(left))};
}

__global__ void __launch_bounds__(kGridBinarizeThreads) table_kernel(GridBinarizeArgs args, Tables tables) {
  const int64_t width = args.original_width, height = args.original_height;
  const int per_axis = args.k + 1;
  for_each_element(width + height + args.count * 2 * per_axis, [&](int64_t i) {
    if (i < width) {
      tables.columns[i] = place_of(i, width, args.resized_width, args.stride, args.width);
      return;
    }
    i -= width;
    if (i < height) {
      tables.rows[i] = place_of(i, height, args.resized_height, args.stride, args.height);
      return;
    }
    i -= height;
    const int axis = static_cast<int>(i / per_axis % 2);
    const float* corners = args.boxes + 4 * (i / (2 * per_axis));
    tables.boundaries[i] = GridAxis{corners[axis], corners[axis + 2], 1.0, axis == 0 ? width : height, args.k}.begin(
        static_cast<int>(i % per_axis));
  });
}

// Warp: one cell. A vector of length 0 counts as 0.
__global__ void __launch_bounds__(kGridBinarizeThreads) separator_kernel(GridBinarizeArgs args, float* separators) {
  const int64_t cell = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (cell >= args.count * args.k * args.k) return;
  const int lane = lane_of_warp();
  const float* foreground = args.objects + cell * 2 * args.channels;
  const float* background = foreground + args.channels;
  double foreground_square = 0.0, background_square = 0.0;
  for (int64_t c = lane; c < args.channels; c += 32) {
    foreground_square += double{foreground[c]} * foreground[c];
    background_square += double{background[c]} * background[c];
  }
  foreground_square = warp_sum(foreground_square);
  background_square = warp_sum(background_square);
  const double by_foreground = foreground_square > 0.0 ? 1.0 / sqrt(foreground_square) : 0.0;
  const double by_background = background_square > 0.0 ? 1.0 / sqrt(background_square) : 0.0;
  for (int64_t c = lane; c < args.channels; c += 32) {
    // Each unit vector is rounded before the difference, so that equal directions give exactly 0.
    const float to_foreground = static_cast<float>(foreground[c] * by_foreground);
    const float to_background = static_cast<float>(background[c] * by_background);
    separators[cell * args.channels + c] = to_foreground - to_background;
  }
}

// X . D of one map pixel, even and odd channels apart: the order of the CPU backend, so that bits are the same.
__device__ __forceinline__ float score_of(const GridBinarizeArgs& args, const float* separator, int32_t y, int32_t x) {
  const int64_t row = y < args.height ? y : args.height - 1, column = x < args.width ? x : args.width - 1;
  const float* pixel = args.pixels + (row * args.width + column) * args.channels;
  float even = 0.0f, odd = 0.0f;
  int64_t c = 0;
  for (; c + 2 <= args.channels; c += 2) {
    even = fmaf(pixel[c], separator[c], even);
    odd = fmaf(pixel[c + 1], separator[c + 1], odd);
  }
  if (c < args.channels) even = fmaf(pixel[c], separator[c], even);
  return even + odd;
}

__device__ __forceinline__ float between(float a, float b, float fraction) { return fmaf(b - a, fraction, a); }

// The pixels of a tile along one axis, cut at the cells. The map positions that the pixels of cell i read are the
// entries [entries[i], entries[i + 1]) of the tile; entry = map position + shift[i].
struct TileAxis {
  int32_t* cells;    // [k + 1] first pixel of each cell, cut to the tile
  int32_t* entries;  // [k + 1]
  int32_t* shift;    // [k]

  static constexpr int64_t size(int k) { return 3 * int64_t{k} + 2; }

  __device__ TileAxis(int32_t* memory, int k) : cells(memory), entries(memory + k + 1), shift(memory + 2 * (k + 1)) {}

  // One thread.
  __device__ void fill(const int32_t* boundaries, const Place* places, int k, int32_t begin, int32_t end) const {
    entries[0] = 0;
    for (int i = 0; i <= k; ++i) cells[i] = max(begin, min(boundaries[i], end));
    for (int i = 0; i < k; ++i) {
      int32_t count = 0;
      shift[i] = 0;
      if (cells[i + 1] > cells[i]) {
        const int32_t first = places[cells[i]].index;
        count = places[cells[i + 1] - 1].index + 2 - first;
        shift[i] = entries[i] - first;
      }
      entries[i + 1] = entries[i] + count;
    }
  }
  __device__ int cell_of_pixel(int32_t pixel) const { return last_not_above(cells, pixel); }
  __device__ int cell_of_entry(int32_t entry) const { return last_not_above(entries, entry); }

 private:
  // Empty cells begin where the next one does: the last of them holds the position.
  __device__ static int last_not_above(const int32_t* begins, int32_t position) {
    int cell = 0;
    while (begins[cell + 1] <= position) ++cell;
    return cell;
  }
};

struct TileCounts {
  int64_t across, down;  // tiles of a whole picture
};

// Block: (tile of the rectangle, box).
template <bool scored>
__global__ void __launch_bounds__(kGridBinarizeThreads)
    bits_kernel(GridBinarizeArgs args, Tables tables, TileCounts tiles) {
  int32_t* const memory = dynamic_shared<int32_t>();
  const int64_t box = blockIdx.x / (tiles.across * tiles.down), tile = blockIdx.x % (tiles.across * tiles.down);
  const PixelRectangle rectangle = args.rectangles[box];
  const auto tile_left = static_cast<int32_t>(tile % tiles.across * kTileColumns);
  const auto tile_top = static_cast<int32_t>(tile / tiles.across * kTileRows);
  if (tile_left >= rectangle.width || tile_top >= rectangle.height) return;
  const int32_t left = rectangle.x + tile_left, right = min(left + kTileColumns, rectangle.x + rectangle.width);
  const int32_t top = rectangle.y + tile_top, bottom = min(top + kTileRows, rectangle.y + rectangle.height);
  const TileAxis columns(memory, args.k), rows(memory + TileAxis::size(args.k), args.k);
  float* const scores = reinterpret_cast<float*>(memory + 2 * TileAxis::size(args.k));
  const int32_t* boundaries = tables.boundaries + box * 2 * (args.k + 1);
  if (threadIdx.x == 0) columns.fill(boundaries, tables.columns, args.k, left, right);
  if (threadIdx.x == 32) rows.fill(boundaries + args.k + 1, tables.rows, args.k, top, bottom);
  __syncthreads();
  const float* separators = tables.separators + box * args.k * args.k * args.channels;
  const auto separator = [&](int row, int column) {
    return separators + (int64_t{row} * args.k + column) * args.channels;
  };
  const int32_t pitch = columns.entries[args.k];
  if (scored) {
    const int32_t count = rows.entries[args.k] * pitch;
    for (int32_t i = threadIdx.x; i < count; i += kGridBinarizeThreads) {
      const int32_t down = i / pitch, across = i % pitch;
      const int row = rows.cell_of_entry(down), column = columns.cell_of_entry(across);
      scores[i] = score_of(args, separator(row, column), down - rows.shift[row], across - columns.shift[column]);
    }
    __syncthreads();
  }
  const int words = (right - left + 31) / 32, groups = (bottom - top + kGroupRows - 1) / kGroupRows;
  const int64_t row_bytes = rectangle.row_bytes();
  const int lane = lane_of_warp();
  for (int task = warp_of_block(); task < words * groups; task += kWarps) {
    const int32_t word = left + task % words * 32, x = word + lane, first = top + task / words * kGroupRows;
    const bool inside = x < right;
    const int column = columns.cell_of_pixel(inside ? x : right - 1);
    const Place across = tables.columns[inside ? x : right - 1];
    // Scores of map row y, for the cells of grid row `row`, at this column.
    const auto along = [&](int row, int32_t y) {
      if (scored) {
        const float* at = scores + (y + rows.shift[row]) * pitch + across.index + columns.shift[column];
        return between(at[0], at[1], across.fraction);
      }
      const float* weights = separator(row, column);
      return between(score_of(args, weights, y, across.index), score_of(args, weights, y, across.index + 1),
                     across.fraction);
    };
    uint8_t* out = args.bits + args.offsets[box] + (first - rectangle.y) * row_bytes + (word - rectangle.x) / 8;
    const bool writes = lane < 4 && (word - rectangle.x) / 8 + lane < row_bytes;
    float above = 0.0f, below = 0.0f;
    int current_row = -1;
    int32_t current_index = -1;
    for (int32_t y = first; y < min(first + kGroupRows, bottom); ++y, out += row_bytes) {
      const int row = rows.cell_of_pixel(y);
      const Place down = tables.rows[y];
      if (row != current_row || down.index != current_index) {
        current_row = row;
        current_index = down.index;
        above = along(row, down.index);
        below = along(row, down.index + 1);
      }
      const unsigned bits = __ballot_sync(kWholeWarp, inside && between(above, below, down.fraction) > 0.0f);
      if (writes) out[lane] = static_cast<uint8_t>(bits >> 8 * lane);
    }
  }
}

// The most score entries that a tile has along one axis, when neighbouring pixels read neighbouring map positions or
// the same ones; -1 when they do not.
int64_t most_entries(int64_t tile, int64_t pixels, int64_t resized, double stride, int k) {
  const double scale = static_cast<double>(resized) / static_cast<double>(pixels) / stride;
  if (scale > 1.0) return -1;
  const int64_t cells = k < tile ? k : tile;
  return static_cast<int64_t>(static_cast<double>(tile) * scale) + 1 + 3 * cells;
}

}  // namespace

void grid_binarize_plan(DeviceContext& context, const GridBinarizePlanArgs& args) {
  launch(plan_kernel, 1, kPlanThreads, 0, context, args);
}

void grid_binarize(DeviceContext& context, const GridBinarizeArgs& args) {
  if (args.count == 0) return;
  const int64_t cells = args.count * args.k * args.k, boundaries = args.count * 2 * (args.k + 1);
  Scratch<Place> places(context, static_cast<size_t>(args.original_width + args.original_height));
  Scratch<int32_t> begins(context, static_cast<size_t>(boundaries));
  Scratch<float> separators(context, static_cast<size_t>(cells * args.channels));
  const Tables tables{places.data(), places.data() + args.original_width, begins.data(), separators.data()};
  launch(table_kernel, grid_for(args.original_width + args.original_height + boundaries, kGridBinarizeThreads),
         kGridBinarizeThreads, 0, context, args, tables);
  launch(separator_kernel, static_cast<unsigned>(ceil_div<int64_t>(cells, kWarps)), kGridBinarizeThreads, 0, context,
         args, tables.separators);
  const TileCounts tiles{ceil_div<int64_t>(args.original_width, kTileColumns),
                         ceil_div<int64_t>(args.original_height, kTileRows)};
  const auto blocks = static_cast<unsigned>(args.count * tiles.across * tiles.down);
  const int64_t across = most_entries(kTileColumns, args.original_width, args.resized_width, args.stride, args.k);
  const int64_t down = most_entries(kTileRows, args.original_height, args.resized_height, args.stride, args.k);
  const size_t axes = static_cast<size_t>(2 * TileAxis::size(args.k)) * sizeof(int32_t);
  if (across > 0 && down > 0 && across * down <= kMostScores) {
    launch(bits_kernel<true>, blocks, kGridBinarizeThreads, axes + static_cast<size_t>(across * down) * sizeof(float),
           context, args, tables, tiles);
  } else {
    launch(bits_kernel<false>, blocks, kGridBinarizeThreads, axes, context, args, tables, tiles);
  }
}

}  // namespace tessera
