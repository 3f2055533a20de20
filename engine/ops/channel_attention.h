// The channel half of channel-spatial attention (spec yolactr.md, section 3.2; kernels/channel_attention.h).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// x [N, H, W, C] with at least one pixel -> [2 N, C]: the means of the channels of every image, then their maxima (ties
// go to the first pixel). Keeps the place of each maximum.
Variable channel_pool(Tape& tape, const Variable& x);

// x [N, H, W, C], logits [S N, C], S sets that are added: x * sigmoid(logits). Keeps x when the logits learn.
Variable channel_gate(Tape& tape, const Variable& x, const Variable& logits);

}  // namespace tessera
