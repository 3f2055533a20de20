// Point NMS of SOLO on the grids of all levels (kernels/point_nms.h). No gradient.
#pragma once

#include "engine/core/pyramid.h"

namespace tessera {

// scores [geometry.rows(), K] f32 -> the same shape: a score that a neighbour above, on the left, or above on the left
// in the same class exceeds becomes 0.
Tensor point_nms(Context& context, const Tensor& scores, const PyramidGeometry& geometry);

}  // namespace tessera
