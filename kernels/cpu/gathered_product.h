// The one loop nest behind the forward pass and the data gradient of a convolution:
//   destination[cell][c] = epilogue(sum over taps t, channels k of source[neighbour of cell at t][k] * weight[t][k][c])
// Neighbours are found through a table of pointers (the indirect convolution of Dukhan, "The Indirect Convolution
// Algorithm", 2019), so that window, stride and padding cost nothing in the inner loop and no copy of the map is made.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/context.h"
#include "kernels/cpu/vector.h"
#include "kernels/row_moments.h"

namespace tessera {

struct GatherTap {
  int64_t dy, dx;  // of the neighbour, in source cells
};

// A regular grid of destination cells that use the same taps: cell (y, x) of image n is the destination cell
// (dest_y + y * dest_step, ...), its neighbours are the source cells (y * source_step + dy, ...); those outside are 0.
struct GatherGrid {
  int64_t images, height, width;
  int64_t dest_row, dest_height, dest_width, dest_y, dest_x, dest_step;
  int64_t source_row, source_height, source_width, source_step;
  int64_t tap_begin, tap_count;
  int64_t first_part = 0;  // of the statistics of this grid, which then is one image and every cell of it

  int64_t cells() const { return images * height * width; }
};

struct GatheredProduct {
  int64_t groups, source_channels, dest_channels;  // channels of one group
  std::vector<GatherTap> taps;                     // of all grids
  std::vector<GatherGrid> grids;
  const float* source;
  float* dest;
  const float* bias = nullptr;      // [groups * dest_channels]
  const float* residual = nullptr;  // like dest
  bool relu = false;
  // Not 0: a "group" is one register of channels (source_channels == dest_channels == kLanes) made of smaller groups of
  // this many, and a lane sums over the channels of its own small group: the packed block is
  // [taps][lane_group][kLanes].
  int64_t lane_group = 0;
  RowMoments moments = {};  // of the destination: a part is a task. The caller has cleared `rows`

  // Packed weights: for each group and block of two registers of destination channels: [taps][source_channels][width],
  // missing channels are zero. The last block is one register wide where that holds its channels.
  int64_t blocks() const { return (dest_channels + 2 * kLanes - 1) / (2 * kLanes); }
  int64_t block_width(int64_t block) const {
    return dest_channels - block * 2 * kLanes <= kLanes ? kLanes : 2 * kLanes;
  }
  int64_t block_begin(int64_t group, int64_t block) const {
    const int64_t padded = (dest_channels + kLanes - 1) / kLanes * kLanes;
    return (group * padded + block * 2 * kLanes) * static_cast<int64_t>(taps.size()) * depth();
  }
  int64_t depth() const { return lane_group > 0 ? lane_group : source_channels; }  // products of a tap
  int64_t packed_size() const { return block_begin(groups, 0); }

  // The result is made of whole lines of the cache and has at least so many floats: it may be written past the caches,
  // so that its lines are not read first.
  bool streams(int64_t least_floats) const;
};

// The same bits for any number of threads: every sum runs in an order that depends on the shape alone.
void run_gathered_product(CpuContext& context, const GatheredProduct& product, const float* packed);

}  // namespace tessera
