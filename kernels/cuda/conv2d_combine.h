// The pass behind a product kernel whose sums are not whole (splits of the depth, libraries without epilogue): sums
// partial results in order and applies the epilogue, for all branches of a call.
#pragma once

#include <span>

#include "kernels/cuda/port.h"
#include "kernels/row_moments.h"

namespace tessera {
inline namespace TESSERA_PORT {

struct CombineBranch {
  const float* partial;  // [splits, split_stride]
  float* target;
  const float* scale;     // of channels, or null
  const float* bias;      // or null
  const float* residual;  // like target, or null
  RowMoments moments;     // of whole channels, for all branches of a call or none
  int64_t splits;         // 0: the sums are zero
};

// Elements first ... first + count - 1 of a branch.
struct CombineTarget {
  int64_t first, count;
  int32_t branch;
  int32_t first_part = 0;  // of its statistics
  int32_t first_block = 0;
};

// What the branches share.
struct CombineLayout {
  int64_t split_stride;
  int64_t run, channels;  // element i belongs to channel i / run % channels
  bool relu;
};

// targets: ordered by branch.
void combine(DeviceContext& context, const CombineLayout& layout, std::span<const CombineBranch> branches,
             std::span<const CombineTarget> targets);

// RowMoments::rows of a branch.
struct MomentRows {
  int32_t* rows;
  int64_t count;
};
// Before statistics: no part is used until a kernel says so, for how many are depends on the choice of tile.
void clear_parts(DeviceContext& context, std::span<const MomentRows> branches);

}  // namespace TESSERA_PORT
}  // namespace tessera
