// Threshold and top-k per image and pyramid level over dense logits: the first step from a head to detections
// (specification, sections 2.4, 2.5 and 12.10). No gradient, no wait for the host.
#pragma once

#include "engine/core/pyramid.h"
#include "kernels/select_top_k.h"

namespace tessera {

struct SelectTopKOptions {
  // AdelaiDet FCOS; product: THRESH_WITH_CTR; torchvision: root; given: "logits" are probabilities, threshold >= 0
  CandidateRule rule = CandidateRule::class_probability;
  float threshold = 0.05f;
  int64_t k = 1000;  // per image and level
};

// Sorted per image and level by falling value, then (level, y, x), then class.
struct TopKSelection {
  Tensor values;   // f32 [N, L, k] sigmoid(class) * sigmoid(quality)
  Tensor rows;     // i32 [N, L, k] row of the pyramid
  Tensor classes;  // i32 [N, L, k]
  Tensor counts;   // i32 [N, L]; entries beyond the count are 0
};

// class_logits [R,K]; quality_logits [R,1] or undefined (quality 1); both over the rows of `geometry`.
TopKSelection select_top_k(Context& context, const Tensor& class_logits, const Tensor& quality_logits,
                           const PyramidGeometry& geometry, const SelectTopKOptions& options);

}  // namespace tessera
