// Cross entropy of a softmax, summed over rows: ln(sum_k e^(z_k)) - z_label. The gradient is computed in the same pass.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct SoftmaxCrossEntropyArgs {
  const float* logits;    // [rows, classes]
  const int32_t* labels;  // [rows] 0 .. classes - 1; negative: the row is ignored
  float* loss;            // [1], the sum times `scale`
  float* gradient;        // [rows, classes] d loss / d logit, or null
  int64_t rows, classes;
  float scale;  // 1 / normalizer
};

// A label of `classes` or more makes the loss and its row of the gradient NaN.
TESSERA_KERNEL(softmax_cross_entropy, SoftmaxCrossEntropyArgs);

// probabilities [rows, kept]: the first `kept` of the softmax of each row.
struct SoftmaxArgs {
  const float* logits;   // [rows, classes]
  float* probabilities;  // [rows, kept]
  int64_t rows, classes, kept;
};

TESSERA_KERNEL(softmax, SoftmaxArgs);

}  // namespace tessera
