// Forward convolution and data gradient as one kind of work: every row of a target map sums, over the taps of a window
// and the channels of a group, the row of a source map that the tap names, times a matrix of weights.
//   forward:        target y, source x, weights as they are
//   data gradient:  target dx, source dy, weights transposed and their taps reversed. With stride s the rows of dx fall
//                   into s * s phases by (y mod s, x mod s); each phase meets only every s-th tap and is a dense map of
//                   its own with a smaller window, so no product with an inserted zero is computed.
// All maps of a call (levels of a pyramid, phases) and all its branches are one launch: a block finds its map in a
// table of the arguments, and with the map the branch whose memory it works on.
#pragma once

#include <algorithm>

#include "kernels/conv2d_choice.h"
#include "kernels/cuda/conv2d_operands.h"
#include "kernels/cuda/row_moments.h"

namespace tessera {
inline namespace TESSERA_PORT {

struct GatherMap {
  int64_t source_row = 0, target_row = 0;  // first rows of the maps
  int64_t weight = 0;                      // first element of the matrix [groups * target_group, depth]
  int32_t source_height = 0, source_width = 0;
  int32_t rows = 0, height = 0, width = 0;  // targets of this entry: images * height * width
  int32_t target_height = 0, target_width = 0;
  int32_t target_step = 1, target_y = 0, target_x = 0;  // target (y, x) of the entry is pixel (step * y + target_y, ..)
  int32_t source_step = 1, source_y = 0, source_x = 0;  // its tap (v, u) reads pixel (step * y + source_y + v, ..)
  int32_t taps_width = 0;
  int32_t depth = 0;  // taps * source_group
  int32_t first_tile = 0;
  int32_t first_part = 0;  // of the statistics of this entry, which then is one image
  int32_t branch = 0;
};

// Memory of one set of weights.
struct GatherBranch {
  const void* source;  // ConvElement of the precision, as weight; see conv2d_operands.h
  const void* weight;
  float* target;          // or partial sums, split_stride apart
  const float* scale;     // of target channels, or null
  const float* bias;      // or null
  const float* residual;  // like target, or null
  RowMoments moments;     // of the target, a tile is a part; or null
};

struct GatherArgs {
  int64_t split_stride;
  int32_t source_channels, target_channels, source_group, target_group, groups;
  int32_t column_tiles;  // of a group
  int32_t splits;        // of the depth
  int32_t map_count;
  bool relu;
  bool pair_stores;  // two neighbouring channels of the target may be written at once
  GatherBranch branches[kBranchesPerLaunch];
  GatherMap maps[kMapsPerLaunch];
};
static_assert(sizeof(GatherArgs) <= kMostArgumentBytes);

// Launches the kernel of a tile; chunks: rows of channels and of weights may be read 16 bytes at a time (always so in
// 16 bits). Defined in conv2d_<math>.cu.
template <ConvMath math>
void launch_gather(DeviceContext& context, const GatherArgs& args, ConvTile tile, bool chunks, int64_t row_tiles);

#define TESSERA_GATHER(math)                                                                            \
  template <>                                                                                           \
  void launch_gather<math>(DeviceContext & context, const GatherArgs& args, ConvTile tile, bool chunks, \
                           int64_t row_tiles)
TESSERA_GATHER(ConvMath::fp32);
TESSERA_GATHER(ConvMath::tf32);
TESSERA_GATHER(ConvMath::bf16);
TESSERA_GATHER(ConvMath::fp16);
TESSERA_GATHER(ConvMath::fp16_accumulate_chunked);
#undef TESSERA_GATHER

}  // namespace TESSERA_PORT
}  // namespace tessera
