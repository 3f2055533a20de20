// Multi-head self-attention along the columns or the rows of a map (spec yolactr.md, section 2.3): softmax of q k^T
// scaled by 1 / sqrt(C / heads) over the cells of a line, times v. No mask, no dropout. Lines of any length.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

enum class AttentionAxis : uint8_t {
  column,  // the cells of a column attend to each other
  row,     // the cells of a row
};

// query [N, H, W, C], key_value [N, H, W, 2 C]: keys, then values; heads divides C, head m has the channels from
// m C / heads on. Returns [N, H, W, C]. Keeps its inputs for backward, which computes the probabilities again.
Variable axial_attention(Tape& tape, const Variable& query, const Variable& key_value, int heads, AttentionAxis axis);

// Each level for itself.
Pyramid axial_attention(Tape& tape, const Pyramid& query, const Pyramid& key_value, int heads, AttentionAxis axis);

}  // namespace tessera
