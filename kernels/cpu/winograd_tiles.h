// The tiles of Winograd's algorithm over the maps of a call, and the transform of their source cells.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/winograd.h"

namespace tessera::winograd {

// 4x4 destination cells, fewer at the lower and right border, from (y, x) on.
struct Tile {
  const WinogradMap* map;
  int64_t image, y, x;

  int64_t height() const;
  int64_t width() const;
  int64_t dest_row() const;  // of its first cell
};

// All tiles, map after map, row after row.
class Tiles {
 public:
  explicit Tiles(const std::vector<WinogradMap>& maps);

  int64_t count() const { return ends_.empty() ? 0 : ends_.back(); }
  Tile at(int64_t index) const;

 private:
  const std::vector<WinogradMap>& maps_;
  std::vector<int64_t> ends_;  // index after the last tile of each map
};

// B^T d B of the 6x6 source cells of a tile, for every channel; cells outside the map are `zeros`. The 36 elements lie
// `step` floats apart from `to` on, each holds the channels rounded up to a register, zero beyond the last.
void transform_source(const Tile& tile, const float* source, int64_t channels, int64_t padding, const float* zeros,
                      float* to, int64_t step);

}  // namespace tessera::winograd
