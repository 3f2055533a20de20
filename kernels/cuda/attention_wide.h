// Attention for heads of any width, for those of more than 128 channels: a warp per query (key, in its gradient) and
// slice of 128 channels of the results, which walks the rows of the other side one by one and reads them through the
// caches. Strict fp32. Every slice sums all scores again, so it is as slow as it is short.
#pragma once

#include "kernels/cuda/port.h"
#include "kernels/multi_head_attention.h"

namespace tessera {
inline namespace TESSERA_PORT {

void attend_wide(DeviceContext& context, const MultiHeadAttentionForwardArgs& args);
// row_products: D, [N, heads, L].
void attention_gradients_wide(DeviceContext& context, const MultiHeadAttentionBackwardArgs& args,
                              const float* row_products);

}  // namespace TESSERA_PORT
}  // namespace tessera
