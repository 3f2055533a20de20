// Suppression of masks by their overlap. Masks come sorted by falling score; the overlap of a pair is the intersection
// over union of its bits when both have one label, else 0.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct MaskOverlapArgs {
  const int64_t* words;   // [M, W] one bit a pixel
  const int32_t* areas;   // [M] set bits
  const int32_t* labels;  // [M]
  float* overlaps;        // [M, M] at (i, j), i < j: the overlap; else 0
  int64_t count, words_per_mask;
};

// Matrix NMS (SOLOv2): score_j times the least over i of f(overlap_ij) / f(c_i), c_i the greatest overlap of i with a
// mask before it; f(d) = exp(-sigma d^2), or 1 - d with a divisor of at least 1e-12.
struct MatrixNmsArgs {
  const float* overlaps;  // [M, M]
  const float* scores;    // [M]
  float* decayed;         // [M]
  int64_t count;
  bool gaussian;
  float sigma;
};

// Greedy: a mask goes when its overlap with a kept one exceeds the threshold.
struct GreedyNmsArgs {
  const float* overlaps;  // [M, M]
  uint8_t* kept;          // [M] 0 or 1
  int64_t count;
  float threshold;
};

TESSERA_KERNEL(mask_overlap, MaskOverlapArgs);
TESSERA_KERNEL(matrix_nms, MatrixNmsArgs);
TESSERA_KERNEL(greedy_nms, GreedyNmsArgs);

}  // namespace tessera
