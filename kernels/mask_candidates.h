// Candidates of a mask detector between the steps of its inference: ranked, taken in the order of their ranks, weighed
// by their masks. Fixed capacities, numbers on the device: nobody waits for them.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

// The places of the best scores, falling; of equal ones the one with the lower row, then the lower label, then the
// earlier one comes first.
struct RankScoresArgs {
  const float* scores;    // [count]
  const int32_t* rows;    // [count], or null: all the same
  const int32_t* labels;  // [count], or null: all the same
  const int32_t* valid;   // [1] scores in use, the first ones, or null: all
  int32_t* places;        // [capacity] 0 beyond the kept ones
  int32_t* kept;          // [1]
  int64_t count, capacity;
  float least;  // lower scores do not take part, nor do those that are no numbers
};

// to[i] = from[places[i]] for i < kept, else zeros; rows of 32-bit words.
struct TakeRowsArgs {
  const uint32_t* from;   // [*, width]
  const int32_t* places;  // [capacity]
  const int32_t* kept;    // [1]
  uint32_t* to;           // [capacity, width]
  int64_t capacity, width;
};

// score * maskness where the area exceeds the least one, else -1.
struct WeighMasksArgs {
  const float* scores;         // [count]
  const float* maskness;       // [count]
  const int32_t* areas;        // [count]
  const int32_t* least_areas;  // [count]
  float* weighed;              // [count]
  int64_t count;
};

// score where kept, else -1.
struct KeepScoresArgs {
  const float* scores;  // [count]
  const uint8_t* kept;  // [count] 0 or 1
  float* result;        // [count]
  int64_t count;
};

TESSERA_KERNEL(rank_scores, RankScoresArgs);
TESSERA_KERNEL(take_rows, TakeRowsArgs);
TESSERA_KERNEL(weigh_masks, WeighMasksArgs);
TESSERA_KERNEL(keep_scores, KeepScoresArgs);

}  // namespace tessera
