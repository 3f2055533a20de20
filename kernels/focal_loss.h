// Sigmoid focal loss (Lin et al., "Focal Loss for Dense Object Detection", eq. 5), summed over rows and classes:
//   FL = a_t (1 - p_t)^gamma * -ln p_t,  p = sigmoid(logit), p_t = p and a_t = alpha for the class of the row,
//   p_t = 1 - p and a_t = 1 - alpha for every other class.
// The gradient is computed in the same pass. Reads the logits once, writes one value per logit.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct FocalLossArgs {
  const float* logits;    // [rows, classes]
  const int32_t* labels;  // [rows]: class; `classes` or more: background; negative: the row is ignored
  float* loss;            // [1], the sum times `scale`
  float* gradient;        // [rows, classes] d loss / d logit, or null
  int64_t rows, classes;
  float alpha, gamma;
  float scale;  // 1 / normalizer
};

TESSERA_KERNEL(focal_loss, FocalLossArgs);

}  // namespace tessera
