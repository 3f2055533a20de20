// The channel half of channel-spatial attention (Woo et al., "CBAM", 2018). Statistics of every channel over the pixels
// of an image, and a gate per channel:
//     pool:  mean[n][c], max[n][c] over pixels (ties: the first pixel)
//            dx = dmean / P, plus dmax at the winner
//     gate:  y = x * s[n][c],  s = sigmoid(sum over sets of logits)
//            dx = dy * s,  dlogits = s (1 - s) sum over pixels of dy * x, the same for every set
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace tessera {

struct ChannelPoolForwardArgs {
  const float* x;    // [N, P, C], P at least 1
  float* y;          // [2, N, C] means, then maxima
  int32_t* winners;  // [N, C] pixel of the maximum
  int64_t images, pixels, channels;
};

struct ChannelPoolBackwardArgs {
  const float* dy;         // [2, N, C]
  const int32_t* winners;  // [N, C]
  float* dx;               // [N, P, C]
  int64_t images, pixels, channels;
};

struct ChannelGateForwardArgs {
  const float* x;       // [N, P, C]
  const float* logits;  // [S, N, C]
  float* gate;          // [N, C] s, kept for backward
  float* y;             // [N, P, C]; may be x
  int64_t sets, images, pixels, channels;
};

struct ChannelGateBackwardArgs {
  const float* x;     // [N, P, C]
  const float* gate;  // [N, C]
  const float* dy;    // [N, P, C]
  float* dx;          // [N, P, C], nullptr: not wanted; may be dy
  float* dlogits;     // [S, N, C], nullptr: not wanted
  int64_t sets, images, pixels, channels;
};

TESSERA_KERNEL(channel_pool_forward, ChannelPoolForwardArgs);
TESSERA_KERNEL(channel_pool_backward, ChannelPoolBackwardArgs);
TESSERA_KERNEL(channel_gate_forward, ChannelGateForwardArgs);
TESSERA_KERNEL(channel_gate_backward, ChannelGateBackwardArgs);

}  // namespace tessera
