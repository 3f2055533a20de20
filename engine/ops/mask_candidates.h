// Candidates of a mask detector between the steps of its inference (kernels/mask_candidates.h): fixed capacities, no
// wait for the host, no gradient.
#pragma once

#include "engine/core/tensor.h"

namespace tessera {

struct RankedPlaces {
  Tensor places;  // i32 [capacity] places of the best scores, falling; 0 beyond the kept ones
  Tensor kept;    // i32 [1]
};

struct RankScoresOptions {
  int64_t capacity = 100;
  float least = 0.0f;  // lower scores, and NaN, do not take part
};

// scores f32 [M]; rows, labels i32 [M] or undefined: the lower row, then the lower label, then the earlier place comes
// first among equal scores. valid i32 [1]: the first so many are in use; undefined: all.
RankedPlaces rank_scores(Context& context, const Tensor& scores, const Tensor& rows, const Tensor& labels,
                         const Tensor& valid, const RankScoresOptions& options);

// from [M, ...] of 4- or 8-byte elements -> [capacity, ...]: its rows in the order of the places, then zeros.
Tensor take_rows(Context& context, const Tensor& from, const RankedPlaces& order);

// scores, maskness f32 [M], areas, least_areas i32 [M] -> f32 [M]: score * maskness where the area exceeds the least
// one, else -1.
Tensor weigh_masks(Context& context, const Tensor& scores, const Tensor& maskness, const Tensor& areas,
                   const Tensor& least_areas);

// scores f32 [M], kept u8 [M] -> f32 [M]: the score where kept, else -1.
Tensor keep_scores(Context& context, const Tensor& scores, const Tensor& kept);

}  // namespace tessera
