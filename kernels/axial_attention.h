// Multi-head self-attention along one axis of a map (Ho et al., "Axial Attention in Multidimensional Transformers",
// 2019; Guo et al., "SOTR", 2021). A line is a column or a row of one image, L its cells; head m owns the e = C / heads
// channels from m * e on:
//     P = softmax(q k^T / sqrt(e)) over the keys,   y = P v
// Backward runs P again instead of keeping it; with dP = dy v^T and dS = P * (dP - rowsum(P * dP)) / sqrt(e):
//     dv = P^T dy,   dq = dS k,   dk = dS^T q
#pragma once

#include <cstdint>
#include <span>

#include "kernels/context.h"

namespace tessera {

// A map of cells in the arrays of a call; row_begin: its first row of channels, images follow each other.
struct AttentionMap {
  int64_t images, height, width, row_begin;
};

struct AxialAttentionForwardArgs {
  std::span<const AttentionMap> maps;  // host memory
  const float* query;                  // [R, C]
  const float* key_value;              // [R, 2 C] keys, then values
  float* y;                            // [R, C]
  int64_t channels, heads;             // C, a multiple of heads
  bool along_columns;                  // cells of a column attend to each other; false: of a row
};

struct AxialAttentionBackwardArgs {
  std::span<const AttentionMap> maps;
  const float* query;
  const float* key_value;
  const float* dy;    // [R, C]
  float* dquery;      // [R, C]
  float* dkey_value;  // [R, 2 C]
  int64_t channels, heads;
  bool along_columns;
};

TESSERA_KERNEL(axial_attention_forward, AxialAttentionForwardArgs);
TESSERA_KERNEL(axial_attention_backward, AxialAttentionBackwardArgs);

}  // namespace tessera
