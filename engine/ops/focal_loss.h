// Sigmoid focal loss of a dense classifier, alpha and gamma as in RetinaNet and FCOS (AdelaiDet: summed over all
// locations and classes, divided by the number of positive locations).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

struct FocalLossOptions {
  float alpha = 0.25f;
  float gamma = 2.0f;
  float normalizer = 1.0f;  // the sum is divided by it
};

// logits [R,K] f32; labels [R] i32: 0..K-1 the class, K or more background, negative: the row does not count.
// Returns [1].
Variable sigmoid_focal_loss(Tape& tape, const Variable& logits, const Tensor& labels, const FocalLossOptions& options);

}  // namespace tessera
