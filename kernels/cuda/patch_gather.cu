// Forward: thread row = one of the nine cells of a patch, lanes along the channels, see channel_rows.h; a patch of 9 C
// elements is 8 bytes per element, 4 where the cell lies outside. Backward: the nine cells of every patch are entries
// of the rows they lie at, and every row gets the sum of its list (row_lists.h), in the order of j: a patch holds a
// cell once. 4 bytes per element of dpatches and of the rows that are met, and the lists.
#include "kernels/patch_gather.h"

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/row_lists.h"

namespace tessera {

namespace {

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

// The row of the pyramid that an entry of dpatches [9 J] belongs to.
struct PatchRow {
  const int32_t* rows;
  const PatchLevel* levels;
  int64_t level_count;

  __device__ int64_t row(int64_t entry) const {
    const int64_t centre = rows[entry / 9];
    const int position = static_cast<int>(entry % 9), dy = position / 3 - 1, dx = position % 3 - 1;
    int64_t height;
    const Cell cell = cell_of(levels, level_count, centre, height);
    const int64_t y = cell.y + dy, x = cell.x + dx;
    const bool inside = y >= 0 && y < height && x >= 0 && x < cell.map_width;
    return inside ? centre + int64_t{dy} * cell.map_width + dx : -1;
  }
};

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
  sum_rows(context, PatchRow{args.rows, levels.data(), args.level_count}, args.count * 9, args.row_count, args.dpatches,
           args.dx, args.channels);
}

}  // namespace tessera
