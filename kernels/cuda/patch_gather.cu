// Forward: thread row = one of the nine cells of a patch, lanes along the channels, see channel_rows.h; a patch of 9 C
// elements is 8 bytes per element, 4 where the cell lies outside.
// Backward: a first kernel finds the map, row and column of every chosen cell. Then one warp per patch cell (j,
// position) looks whether a patch of smaller j holds the same cell of the map; if not, it adds all patches that hold
// it, in the order of j. 9 J^2 / 32 comparisons per lane in all, on 20 bytes that stay in cache; 12 bytes per element
// of dpatches.
#include "kernels/patch_gather.h"

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/gathered_rows.h"

namespace tessera {

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = 4;

// A cell of the pyramid. A map is one image of one level; `map` is its first row, and tells maps apart.
struct Cell {
  int32_t map, y, x, map_width;
};

__device__ __forceinline__ Cell cell_of(const PatchLevel* levels, int64_t level_count, int64_t row, int64_t& height) {
  const PatchLevel* level = levels + level_count - 1;
  while (level->row_begin > row) --level;
  const int64_t area = level->height * level->width, offset = row - level->row_begin;
  const int64_t in_map = offset % area, y = in_map / level->width;
  height = level->height;
  return {static_cast<int32_t>(row - in_map), static_cast<int32_t>(y), static_cast<int32_t>(in_map - y * level->width),
          static_cast<int32_t>(level->width)};
}

template <int width>
__global__ void __launch_bounds__(kRowThreads) gather_patches(PatchGatherForwardArgs args, const PatchLevel* levels) {
  using Vector = Channels<width>;
  for_each_row_vector(args.count * 9, args.channels / width, [&](int64_t target, int64_t v) {
    const int64_t j = target / 9;
    const int position = static_cast<int>(target - 9 * j), dy = position / 3 - 1, dx = position % 3 - 1;
    const int64_t row = args.rows[j];
    int64_t height;
    const Cell cell = cell_of(levels, args.level_count, row, height);
    const int64_t y = cell.y + dy, x = cell.x + dx;
    const bool inside = y >= 0 && y < height && x >= 0 && x < cell.map_width;
    const int64_t neighbour = row + int64_t{dy} * cell.map_width + dx;
    (inside ? Vector::load(args.x + neighbour * args.channels + v * width) : Vector::filled(0.0f))
        .store(args.patches + target * args.channels + v * width);
  });
}

struct Centre {
  Cell cell;
  int32_t map_height;
};

__global__ void __launch_bounds__(kThreads)
    find_centres(const int32_t* rows, int64_t count, const PatchLevel* levels, int64_t level_count, Centre* centres) {
  for_each_element(count, [&](int64_t j) {
    int64_t height;
    const Cell cell = cell_of(levels, level_count, rows[j], height);
    centres[j] = {cell, static_cast<int32_t>(height)};
  });
}

// Where in the patch around `centre` the cell (map, y, x) lies, or -1.
__device__ __forceinline__ int position_in_patch(const Cell& centre, int32_t map, int32_t y, int32_t x) {
  const int32_t dy = y - centre.y, dx = x - centre.x;
  const bool inside = centre.map == map && dy >= -1 && dy <= 1 && dx >= -1 && dx <= 1;
  return inside ? (dy + 1) * 3 + dx + 1 : -1;
}

__global__ void __launch_bounds__(32 * kWarps) sum_patches(PatchGatherBackwardArgs args, const Centre* centres) {
  const int64_t target = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (target >= args.count * 9) return;
  const int64_t j = target / 9;
  const int position = static_cast<int>(target - 9 * j);
  const Centre centre = centres[j];
  const int32_t y = centre.cell.y + position / 3 - 1, x = centre.cell.x + position % 3 - 1;
  if (y < 0 || y >= centre.map_height || x < 0 || x >= centre.cell.map_width) return;
  const int64_t row = centre.cell.map + int64_t{y} * centre.cell.map_width + x;
  const auto position_of = [&](int64_t k) { return position_in_patch(centres[k].cell, centre.cell.map, y, x); };
  add_matching_rows(
      j, args.count, args.dx + row * args.channels, args.channels, [&](int64_t k) { return position_of(k) >= 0; },
      [&](int64_t k) { return args.dpatches + (9 * k + position_of(k)) * args.channels; });
}

}  // namespace

void patch_gather_forward(DeviceContext& context, const PatchGatherForwardArgs& args) {
  if (args.channels == 0) return;
  const DeviceArray<PatchLevel> levels(context, args.levels, args.level_count);
  const bool vector = aligned4(args.channels, args.x, args.patches);
  const dim3 block = row_block(vector ? args.channels / 4 : args.channels);
  launch(vector ? gather_patches<4> : gather_patches<1>, row_grid(args.count * 9, block), block, 0, context, args,
         levels.data());
}

void patch_gather_backward(DeviceContext& context, const PatchGatherBackwardArgs& args) {
  const DeviceArray<PatchLevel> levels(context, args.levels, args.level_count);
  Scratch<Centre> centres(context, static_cast<size_t>(args.count));
  launch(find_centres, grid_for(args.count, kThreads), kThreads, 0, context, args.rows, args.count, levels.data(),
         args.level_count, centres.data());
  launch(sum_patches, static_cast<unsigned>(ceil_div(args.count * 9, kWarps)), 32 * kWarps, 0, context, args,
         centres.data());
}

}  // namespace tessera
