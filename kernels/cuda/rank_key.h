// The order of candidates by score: falling; of equal ones the lower row, then the lower label, then the earlier one
// goes before. The CPU's kernels sort by the same rule, so all backends keep the same candidates.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {

struct RankKey {
  float score;
  int32_t row, label;
};

// Whether a goes before b; `earlier` decides among equals.
__device__ __forceinline__ bool better(const RankKey& a, const RankKey& b, bool earlier) {
  if (a.score != b.score) return a.score > b.score;
  if (a.row != b.row) return a.row < b.row;
  return a.label != b.label ? a.label < b.label : earlier;
}

}  // namespace tessera
