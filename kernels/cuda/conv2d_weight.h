// Weight gradient of the convolution: dweight[o][tap][c] = scale[o] * sum over pixels of dy[pixel][o] x[tap of
// pixel][c]. The pixels of all maps are one depth, cut into blocks of kPixels pixels of one map; a split of the depth
// is a run of blocks, its sums are partial results, and a second pass adds those in order. The branches of a call are
// one launch, each with its own maps, and splits of its own depth.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/conv2d_choice.h"
#include "kernels/cuda/conv2d_gather.h"

namespace tessera {
inline namespace TESSERA_PORT {

struct WeightMap {
  int64_t in_row = 0, out_row = 0;
  int32_t height = 0, width = 0, out_height = 0, out_width = 0;
  int32_t pixels = 0;       // images * out_height * out_width
  int32_t first_block = 0;  // of the branch
};

// Maps with one set of weights.
struct WeightBranch {
  const void* x;  // ConvElement of the precision, as dy; see conv2d_operands.h
  const void* dy;
  const float* scale;  // or null
  float* dweight;      // or partial sums [splits, split_stride]
  int32_t first_map, map_end;
  int32_t blocks, blocks_per_split, splits;
};

struct WeightArgs {
  int64_t split_stride;
  int32_t group_in, group_out, groups;  // of the weights
  int32_t x_group, dy_group;            // channels of a group as x and dy hold them
  int32_t window_width, stride, padding;
  int32_t columns;  // taps * x_group
  int32_t row_tiles, column_tiles;
  int32_t splits;  // the most of a branch
  int32_t branch_count;
  WeightBranch branches[kBranchesPerLaunch];
  WeightMap maps[kMapsPerLaunch];
};
static_assert(sizeof(WeightArgs) <= kMostArgumentBytes);

// Pixels of a block.
constexpr int pixels_per_block(ConvMath math) { return math == ConvMath::fp32 || math == ConvMath::tf32 ? 16 : 32; }

// chunks: channels of both maps may be read 16 bytes at a time (always so in 16 bits). Defined in conv2d_<math>.cu;
// fp16_accumulate_chunked adds up in fp32 here, for the sums of a gradient are long.
template <ConvMath math>
void launch_weight(DeviceContext& context, const WeightArgs& args, ConvTile tile, bool chunks);

#define TESSERA_WEIGHT(math) \
  template <>                \
  void launch_weight<math>(DeviceContext & context, const WeightArgs& args, ConvTile tile, bool chunks)
TESSERA_WEIGHT(ConvMath::fp32);
TESSERA_WEIGHT(ConvMath::tf32);
TESSERA_WEIGHT(ConvMath::bf16);
TESSERA_WEIGHT(ConvMath::fp16);
#undef TESSERA_WEIGHT

}  // namespace TESSERA_PORT
}  // namespace tessera
