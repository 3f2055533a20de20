// The spatial half of channel-spatial attention (spec yolactr.md, section 3.2; kernels/spatial_attention.h).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// x [N, H, W, C], C at least 1 -> [N, H, W, 2]: the maximum over the channels (ties: the first), then their mean. Keeps
// the channel of each maximum.
Variable spatial_pool(Tape& tape, const Variable& x);

// x [N, H, W, C], logits [N, H, W, 1]: x * sigmoid(logits). Keeps the logits, and x when they learn.
Variable spatial_gate(Tape& tape, const Variable& x, const Variable& logits);

}  // namespace tessera
