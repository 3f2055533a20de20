// One entry of a candidate list of fixed capacity.
#pragma once

#include "kernels/candidate_args.h"
#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

struct CandidateEntry {
  float box[4];
  float score;
  int32_t category, row;
};

// at: image * capacity + place. `CandidateEntry{}` clears.
__device__ __forceinline__ void write_candidate(const CandidateArgs& list, int64_t at, const CandidateEntry& entry) {
#pragma unroll
  for (int side = 0; side < 4; ++side) list.boxes[4 * at + side] = entry.box[side];
  list.scores[at] = entry.score;
  list.classes[at] = entry.category;
  list.rows[at] = entry.row;
}

}  // namespace TESSERA_PORT
}  // namespace tessera
