// From the head's output to the best boxes of each image, on the device and with fixed capacity (spec section 2.4).
#pragma once

#include <vector>

#include "data/annotations/annotations.h"
#include "engine/ops/candidates.h"
#include "models/fcos/head.h"

namespace tessera {

// pictures: N, in a batch that is padded to padded_height x padded_width. At most config.max_detections per image, best
// first, boxes in original pixels, clipped.
Candidates fcos_detections(Context& context, const FcosOutput& output, const std::vector<ImageGeometry>& pictures,
                           int64_t padded_height, int64_t padded_width, const FcosConfig& config);

}  // namespace tessera
