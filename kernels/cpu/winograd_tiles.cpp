#include "kernels/cpu/winograd_tiles.h"

#include <algorithm>

#include "kernels/cpu/vector.h"
#include "kernels/cpu/winograd_transforms.h"

namespace tessera::winograd {

namespace {

template <bool Full>
[[gnu::always_inline]] inline void transform_cells(const float* const* cells, int64_t channel, int64_t lanes, float* to,
                                                   int64_t step) {
  Vector columns[kPoints][kPoints];  // [u][transformed v]
#pragma GCC unroll 6
  for (int u = 0; u < kPoints; ++u) {
    Vector d[kPoints];
#pragma GCC unroll 6
    for (int v = 0; v < kPoints; ++v) {
      const float* from = cells[v * kPoints + u] + channel;
      d[v] = Full ? load_vector(from) : load_lanes(from, lanes);
    }
    transform_input(d, columns[u]);
  }
#pragma GCC unroll 6
  for (int v = 0; v < kPoints; ++v) {
    Vector d[kPoints], t[kPoints];
#pragma GCC unroll 6
    for (int u = 0; u < kPoints; ++u) d[u] = columns[u][v];
    transform_input(d, t);
#pragma GCC unroll 6
    for (int u = 0; u < kPoints; ++u) store_vector(to + (v * kPoints + u) * step, t[u]);
  }
}

}  // namespace

int64_t Tile::height() const { return std::min<int64_t>(kOutputs, map->dest_height - y); }
int64_t Tile::width() const { return std::min<int64_t>(kOutputs, map->dest_width - x); }
int64_t Tile::dest_row() const { return map->dest_row + (image * map->dest_height + y) * map->dest_width + x; }

Tiles::Tiles(const std::vector<WinogradMap>& maps) : maps_(maps) {
  for (const WinogradMap& map : maps) ends_.push_back(count() + map.tiles());
}

Tile Tiles::at(int64_t index) const {
  const auto end = std::upper_bound(ends_.begin(), ends_.end(), index);
  const WinogradMap& map = maps_[static_cast<size_t>(end - ends_.begin())];
  const int64_t local = index - (*end - map.tiles()), across = map.tiles_across(), down = map.tiles_down();
  return {&map, local / across / down, local / across % down * kOutputs, local % across * kOutputs};
}

void transform_source(const Tile& tile, const float* source, int64_t channels, int64_t padding, const float* zeros,
                      float* to, int64_t step) {
  const WinogradMap& map = *tile.map;
  const float* image = source + (map.source_row + tile.image * map.source_height * map.source_width) * channels;
  const float* cells[kElements];
  for (int64_t v = 0; v < kPoints; ++v) {
    for (int64_t u = 0; u < kPoints; ++u) {
      const int64_t y = tile.y + v - padding, x = tile.x + u - padding;
      const bool inside = y >= 0 && y < map.source_height && x >= 0 && x < map.source_width;
      cells[v * kPoints + u] = inside ? image + (y * map.source_width + x) * channels : zeros;
    }
  }
  int64_t channel = 0;
  for (; channel + kLanes <= channels; channel += kLanes) {
    transform_cells<true>(cells, channel, kLanes, to + channel, step);
  }
  if (channel < channels) transform_cells<false>(cells, channel, channels - channel, to + channel, step);
}

}  // namespace tessera::winograd
