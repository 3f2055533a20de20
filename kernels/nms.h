// Greedy non-maximum suppression per image: candidates by falling score (ties by row, then by class); one is dropped
// when its IoU with a kept one (of its class, when class aware) is greater than the threshold. Areas without "+1".
// Stops when the result is full, so its capacity is also the number of detections kept.
#pragma once

#include "kernels/candidate_args.h"
#include "kernels/context.h"

namespace tessera {

struct NmsArgs {
  CandidateArgs candidates, kept;
  float iou_threshold;
  bool class_aware;
};

TESSERA_KERNEL(nms, NmsArgs);

}  // namespace tessera
