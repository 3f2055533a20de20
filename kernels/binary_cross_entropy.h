// Binary cross entropy of logits z against soft targets t in [0, 1]: sum of softplus(z) - t z; gradient sigmoid(z) - t.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct BinaryCrossEntropyArgs {
  const float* logits;   // [count]
  const float* targets;  // [count]
  float* loss;           // [1], the sum times `scale`
  float* gradient;       // [count] d loss / d logit, or null
  int64_t count;
  float scale;  // 1 / normalizer
};

TESSERA_KERNEL(binary_cross_entropy, BinaryCrossEntropyArgs);

}  // namespace tessera
