// Multi-head attention of L queries to T keys with values, in each of N sequences (Vaswani et al., "Attention Is All
// You Need", 2017, section 3.2). Head m owns the e = C / heads channels from m * e on:
//     P = softmax(q k^T / sqrt(e)) over the keys,   y = P v
// Nothing of size L T is stored: the softmax is kept on the way along the keys (Milakov and Gimelshein, "Online
// normalizer calculation for softmax", 2018; Dao, "FlashAttention-2", 2023), and of a query and head one number is left
// for the backward pass, log_sum = log(sum over keys of exp(q k^T / sqrt(e))). With D = rowsum(dy * y), dP = dy v^T,
// P = exp(q k^T / sqrt(e) - log_sum) and dS = P * (dP - D) / sqrt(e):
//     dv = P^T dy,   dq = dS k,   dk = dS^T q
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct MultiHeadAttentionShape {
  int64_t sequences, queries, keys;  // N, L, T; at least one key
  int64_t channels, heads;           // C, a multiple of heads
  int64_t width() const { return channels / heads; }
};

struct MultiHeadAttentionForwardArgs {
  MultiHeadAttentionShape shape;
  const float *query, *key, *value;  // [N, L, C], [N, T, C], [N, T, C]
  float* y;                          // [N, L, C]
  float* log_sum;                    // [N, heads, L], or null
  // Of both products, on devices: q, k, v and P are rounded, sums and the softmax are f32. The CPU computes in fp32.
  ConvMath math = ConvMath::fp32;
};

struct MultiHeadAttentionBackwardArgs {
  MultiHeadAttentionShape shape;
  const float *query, *key, *value;  // as forward
  const float* y;                    // [N, L, C]
  const float* log_sum;              // [N, heads, L]
  const float* dy;                   // [N, L, C]
  float* dquery;                     // [N, L, C], or null
  float *dkey, *dvalue;              // [N, T, C], or null
  ConvMath math = ConvMath::fp32;    // of the five products: q, k, v, dy, P and dS are rounded
};

TESSERA_KERNEL(multi_head_attention_forward, MultiHeadAttentionForwardArgs);
TESSERA_KERNEL(multi_head_attention_backward, MultiHeadAttentionBackwardArgs);

}  // namespace tessera
