// Box regression losses of FCOS: -ln IoU (FCOS 2019), 1 - IoU and 1 - GIoU, weighted per box.
#pragma once

#include "engine/autograd/tape.h"
#include "kernels/iou_loss.h"

namespace tessera {

struct IouLossOptions {
  IouLossKind kind = IouLossKind::giou;
  float normalizer = 1.0f;  // the weighted sum is divided by it
  // false: AdelaiDet, (I + 1) / (U + 1); true: torchvision, no smoothing and an epsilon of 1e-7.
  bool torchvision = false;
};

// predicted [P,4], target [P,4]: distances left, top, right, bottom >= 0 from one point, units of the stride (pixels
// for torchvision); weights [P]; target and weights are constants. Returns [1].
Variable iou_loss(Tape& tape, const Variable& predicted, const Tensor& target, const Tensor& weights,
                  const IouLossOptions& options);

// IoU of each row without smoothing, [P]: the target of the quality branch when box_quality = "iou". No gradient.
Tensor distance_iou(Context& context, const Tensor& predicted, const Tensor& target);

}  // namespace tessera
