// Greedy non-maximum suppression with a fixed capacity (specification, sections 2.4 and 12.10). No gradient, no wait
// for the host.
#pragma once

#include "engine/ops/candidates.h"

namespace tessera {

struct NmsOptions {
  float iou_threshold = 0.6f;  // a greater overlap suppresses
  int64_t capacity = 100;      // detections kept per image, the best ones
  bool class_aware = true;     // only boxes of one class suppress each other
};

// The kept candidates by falling score, ties by (level, y, x), then class.
Candidates nms(Context& context, const Candidates& candidates, const NmsOptions& options);

}  // namespace tessera
