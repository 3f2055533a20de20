// 3x3 neighbourhoods of chosen pyramid cells as rows, so that a 3x3 convolution is computed only where its result is
// used: patches[j] = the nine cells around cell rows[j] of its own level and image, zero outside the map.
// A matrix product with the OHWI weights of the convolution, seen as [O, 9 * C], then equals the convolution there.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

// One level of a pyramid of rows: level after level, image after image, y-major.
struct PatchLevel {
  int64_t row_begin;
  int64_t height;
  int64_t width;
};

struct PatchGatherForwardArgs {
  const float* x;            // [R, C]
  const int32_t* rows;       // [J], in [0, R)
  float* patches;            // [J, 9, C], window y-major
  const PatchLevel* levels;  // [level_count], ascending row_begin, host memory
  int64_t level_count;
  int64_t count;     // J
  int64_t channels;  // C
};

struct PatchGatherBackwardArgs {
  const float* dpatches;  // [J, 9, C]
  const int32_t* rows;    // [J]; repeats add up, in the order of j
  float* dx;              // [R, C], zeros when called
  const PatchLevel* levels;
  int64_t level_count;
  int64_t count;
  int64_t channels;
  int64_t row_count;  // R
};

TESSERA_KERNEL(patch_gather_forward, PatchGatherForwardArgs);
TESSERA_KERNEL(patch_gather_backward, PatchGatherBackwardArgs);

}  // namespace tessera
