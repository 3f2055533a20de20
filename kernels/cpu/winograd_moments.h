// Statistics of the destination of Winograd's algorithm, taken from the registers that the inverse transform ends in. A
// part is a run of kRunTiles tiles, cut where an image begins: which tiles it has depends on the maps alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/vector.h"
#include "kernels/cpu/winograd_tiles.h"
#include "kernels/cpu/winograd_transforms.h"

namespace tessera::winograd {

inline constexpr int64_t kRunTiles = 24;

// Collects the tiles of whole runs, in their order, some channels at a time.
template <int64_t most_channels>
class TileMoments {
 public:
  // moments.rows may be null: then nothing else may be called.
  TileMoments(const RowMoments& moments, const std::vector<WinogradMap>& maps, int64_t all_channels)
      : moments_(moments), maps_(maps), all_channels_(all_channels) {
    if (moments.rows == nullptr) return;
    for (const WinogradMap& map : maps) {
      first_segments_.push_back(parts_.segments());
      for (int64_t image = 0; image < map.images; ++image) parts_.add_segment(map.dest_height * map.dest_width);
      first_tiles_.push_back(tiles_);
      tiles_ += map.tiles();
    }
  }

  // Destination channels [first, first + channels) follow.
  void begin_channels(int64_t first, int64_t channels) {
    first_ = first;
    channels_ = channels;
    rows_ = 0;
  }

  // Tile `index` of all follows, one register of channels after the other.
  void begin_tile(int64_t index, const Tile& tile) {
    const auto map = static_cast<size_t>(tile.map - maps_.data());
    const int64_t image_tiles = tile.map->tiles_down() * tile.map->tiles_across();
    const int64_t first_run = (first_tiles_[map] + tile.image * image_tiles) / kRunTiles;
    const int64_t part = parts_.begin(first_segments_[map] + tile.image) + index / kRunTiles - first_run;
    if (part != part_) end_part();
    part_ = part;
    tile_rows_ = tile.height() * tile.width();
    const auto rows = static_cast<float>(rows_), added = static_cast<float>(tile_rows_);
    inverse_ = 1.0f / added;
    share_ = added / (rows + added);
    cross_ = rows * share_;
  }

  // Cells [height][width] of the tile, of one register of channels from `channel` of begin_channels' on.
  void add(int64_t channel, const Vector (&cells)[kOutputs][kOutputs], int64_t height, int64_t width) {
    Vector sum{}, rest{}, squares{};
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) sum += cells[y][x];
    }
    const Vector centre = sum * inverse_;
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const Vector centred = cells[y][x] - centre;
        rest += centred;
        squares += centred * centred;
      }
    }
    // `rest` is what rounding left of the mean.
    const Vector mean = centre + rest * inverse_, deviation = squares - rest * rest * inverse_;
    float *to_mean = mean_ + channel, *to_deviation = deviation_ + channel;
    if (rows_ == 0) {
      store_vector(to_mean, mean);
      store_vector(to_deviation, deviation);
      return;
    }
    const Vector distance = mean - load_vector(to_mean);
    store_vector(to_mean, load_vector(to_mean) + distance * share_);
    store_vector(to_deviation, load_vector(to_deviation) + deviation + distance * distance * cross_);
  }

  void end_tile() { rows_ += tile_rows_; }

  // Writes the part that is under way, if there is one.
  void end_part() {
    if (rows_ == 0) return;
    float* to = moments_.values + part_ * 2 * all_channels_ + first_;
    std::copy_n(mean_, channels_, to);
    for (int64_t c = 0; c < channels_; ++c) to[all_channels_ + c] = std::max(0.0f, deviation_[c]);
    if (first_ == 0) moments_.rows[part_] = static_cast<int32_t>(rows_);
    rows_ = 0;
  }

 private:
  const RowMoments& moments_;
  const std::vector<WinogradMap>& maps_;
  const int64_t all_channels_;
  MomentParts parts_;
  std::vector<int64_t> first_segments_, first_tiles_;  // of each map
  int64_t tiles_ = 0;
  int64_t first_ = 0, channels_ = 0;              // of begin_channels
  int64_t part_ = -1, rows_ = 0, tile_rows_ = 0;  // rows: that are in mean_ and deviation_
  float inverse_ = 0, share_ = 0, cross_ = 0;     // 1 / n, n / (rows + n), rows n / (rows + n), n rows of the tile
  alignas(64) float mean_[most_channels], deviation_[most_channels];
};

}  // namespace tessera::winograd
