// Multi-head attention of one set of rows to another (Vaswani et al., 2017, section 3.2.2, without its linear layers):
// softmax of q k^T / sqrt(C / heads) over the keys, times v, head by head. No mask, no dropout. For sequences of any
// length: nothing of size L T is kept or computed at once (kernels/multi_head_attention.h).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// query [N, L, C], key and value [N, T, C], T >= 1; heads divides C, head m has the channels from m C / heads on.
// Returns [N, L, C]. In the precision of the context (engine/core/precision.h) on devices, fp32 on the CPU. Keeps its
// inputs, its output, and one number per query and head for backward, which computes the probabilities again.
Variable multi_head_attention(Tape& tape, const Variable& query, const Variable& key, const Variable& value, int heads);

}  // namespace tessera
