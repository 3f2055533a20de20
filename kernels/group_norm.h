// Group normalisation over ranges of rows, with fused ReLU (Wu and He, "Group Normalization", 2018):
//     y = relu?( (x - mean) * rstd * weight + bias )
// with mean and biased variance over the rows of one segment and the C / groups consecutive channels of one group, and
// rstd = 1 / sqrt(variance + epsilon). A segment is one image, or one level of one image. With one segment over all
// rows and groups = C this is batch normalisation.
//
// Backward, with g = dy where y > 0 (dy without ReLU), xh = (x - mean) * rstd and n elements per segment and group:
//     dbias = sum g        dweight = sum g * xh
//     dx = rstd * (g * weight - (sum g * weight + xh * sum g * weight * xh) / n)      sums over the segment and group
// The sign of y is recomputed from x, so y need not be kept.
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "kernels/row_moments.h"

namespace tessera {

struct RowRange {
  int64_t begin;
  int64_t count;
};

struct GroupNormForwardArgs {
  const float* x;            // [R, C]
  const float* weight;       // [C]
  const float* bias;         // [C]
  float* y;                  // [R, C]; may be x
  float* mean;               // [S, G]
  float* rstd;               // [S, G]
  const RowRange* segments;  // [S], host memory
  int64_t segment_count;     // S
  int64_t channels;          // C
  int64_t groups;            // G, divides C
  float epsilon;
  bool relu;
  RowMoments moments = {};  // of x, from the kernel that made it, for the same segments; without them x is read twice
};

// The parts of these segments.
inline MomentParts moment_parts(const RowRange* segments, int64_t segment_count) {
  MomentParts parts;
  for (int64_t segment = 0; segment < segment_count; ++segment) parts.add_segment(segments[segment].count);
  return parts;
}

struct GroupNormBackwardArgs {
  const float* x;       // [R, C]
  const float* weight;  // [C]
  const float* bias;    // [C]
  const float* mean;    // [S, G]
  const float* rstd;    // [S, G]
  const float* dy;      // [R, C]
  float* dx;            // [R, C], nullptr: not wanted; may be dy. Only rows of segments are written
  float* dweight;       // [C], nullptr: not wanted
  float* dbias;         // [C], nullptr: not wanted
  const RowRange* segments;
  int64_t segment_count;
  int64_t channels;
  int64_t groups;
  bool relu;
};

TESSERA_KERNEL(group_norm_forward, GroupNormForwardArgs);
TESSERA_KERNEL(group_norm_backward, GroupNormBackwardArgs);

}  // namespace tessera
