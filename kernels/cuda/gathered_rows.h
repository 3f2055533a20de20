// Sums of rows that go to the same target row, without atomics: the backward pass of the gathers.
#pragma once

#include "kernels/cuda/warp.h"

namespace tessera {
inline namespace TESSERA_PORT {

// For one warp. Adds source(j)[0:channels] to target[0:channels] for all j in [first, count) with match(j), in
// ascending order of j; nothing when a smaller j than `first` matches, for then the warp of that one does it. The lanes
// look at 32 candidates at a time, then share the channels of each that matches.
template <typename Match, typename Source>
__device__ void add_matching_rows(int64_t first, int64_t count, float* target, int64_t channels, const Match& match,
                                  const Source& source) {
  const int lane = lane_of_warp();
  for (int64_t begin = 0; begin < first; begin += 32) {
    const int64_t j = begin + lane;
    if (__any_sync(kWholeWarp, j < first && match(j))) return;  // the same for all lanes
  }
  for (int64_t begin = first; begin < count; begin += 32) {
    const int64_t j = begin + lane;
    unsigned matching = __ballot_sync(kWholeWarp, j < count && match(j));
    for (; matching != 0; matching &= matching - 1) {
      const float* row = source(begin + __ffs(static_cast<int>(matching)) - 1);
      for (int64_t c = lane; c < channels; c += 32) target[c] += row[c];
    }
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
