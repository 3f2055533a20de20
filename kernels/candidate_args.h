// Candidates (engine/ops/candidates.h) as plain memory.
#pragma once

#include <cstdint>

namespace tessera {

struct CandidateArgs {
  float* boxes;      // [images, capacity, 4]
  float* scores;     // [images, capacity]
  int32_t* classes;  // [images, capacity]
  int32_t* rows;     // [images, capacity]
  int32_t* counts;   // [images]
  int64_t images, capacity;
};

}  // namespace tessera
