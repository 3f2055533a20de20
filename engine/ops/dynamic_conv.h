// Mask logits of instances: the features of an image times one kernel per instance (spec yolactr.md, section 4.1). The
// features stay at their own resolution; a 1x1 convolution and a bilinear enlargement commute, so it is the few logits
// that are enlarged.
#pragma once

#include <span>

#include "engine/autograd/tape.h"

namespace tessera {

// features [N, H, W, D]; kernels [K, D], those of one image next to each other and images in order: image n has the
// instances first_instance[n] .. first_instance[n + 1] - 1 (N + 1 numbers, from 0 to K; an image may have none).
// Returns logits [K, H, W]. Keeps what the wanted gradients need: features for kernels, kernels for features.
Variable dynamic_conv(Tape& tape, const Variable& features, const Variable& kernels,
                      std::span<const int64_t> first_instance);

}  // namespace tessera
