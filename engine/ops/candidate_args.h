// Unpacks Candidates for kernels.
#pragma once

#include "engine/ops/candidates.h"
#include "kernels/candidate_args.h"

namespace tessera {

inline CandidateArgs candidate_args(const Candidates& candidates) {
  return {candidates.boxes.data<float>(),
          candidates.scores.data<float>(),
          candidates.classes.data<int32_t>(),
          candidates.rows.data<int32_t>(),
          candidates.counts.data<int32_t>(),
          candidates.images(),
          candidates.capacity()};
}

}  // namespace tessera
