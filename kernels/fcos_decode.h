// From selected cells of an FCOS head to boxes and scores.
//   box = (cx - l u, cy - t u, cx + r u, cy + b u), u the stride of the level (or 1 when distances are in pixels)
//   score = sqrt(value) or value
// and the way back of boxes to the original picture.
#pragma once

#include <cstdint>

#include "kernels/candidate_args.h"
#include "kernels/context.h"
#include "kernels/select_top_k.h"

namespace tessera {

enum class LocationRule : uint8_t {
  half_stride,  // (x stride + stride / 2, ...): the centre of the cell
  // (x sx, y sy) with sx = padded width / map width rounded down, which differs from the stride on P6 and P7: the
  // anchor generator of torchvision.
  torchvision,
};

struct FcosDecodeArgs {
  const float* values;       // [images, levels, k]
  const int32_t* rows;       // [images, levels, k]
  const int32_t* classes;    // [images, levels, k]
  const int32_t* counts;     // [images, levels]
  const float* distances;    // [rows, 4] left, top, right, bottom
  const float* clip_sizes;   // [images, 2] height and width that boxes are clipped to, or null: no clipping
  const LevelRows* levels;   // [level_count], on the host
  CandidateArgs candidates;  // capacity levels * k: the levels one after the other, without gaps
  int64_t level_count, k;
  int64_t padded_height, padded_width;  // of the network input; for LocationRule::torchvision
  LocationRule location;
  bool pixel_distances;
  bool root_score;
};

struct RescaleCandidatesArgs {
  CandidateArgs source, result;  // same capacity
  const int32_t* sizes;          // [images, 4] original height and width, resized height and width (before padding)
};

TESSERA_KERNEL(fcos_decode, FcosDecodeArgs);
// Boxes times original / resized, clipped to the original picture; empty ones are dropped, order is kept.
TESSERA_KERNEL(rescale_candidates, RescaleCandidatesArgs);

}  // namespace tessera
