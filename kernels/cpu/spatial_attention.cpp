#include "kernels/spatial_attention.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

// The first channel with this value, or the last one: channels are compared a block at a time.
int64_t first_place(const float* x, int64_t channels, float value) {
  constexpr int64_t kBlock = 32;
  int64_t begin = 0;
  for (; begin + kBlock < channels; begin += kBlock) {
    int equal = 0;
#pragma omp simd reduction(| : equal)
    for (int64_t c = 0; c < kBlock; ++c) equal |= x[begin + c] == value ? 1 : 0;
    if (equal != 0) break;
  }
  while (begin + 1 < channels && x[begin] != value) ++begin;
  return begin;
}

int64_t grain(int64_t channels) { return (1 << 14) / std::max<int64_t>(1, channels); }

}  // namespace

void spatial_pool_forward(CpuContext& context, const SpatialPoolForwardArgs& args) {
  const int64_t channels = args.channels;
  parallel_for(context, args.rows, grain(channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * channels;
      float largest = x[0], sum = 0;
#pragma omp simd reduction(max : largest) reduction(+ : sum)
      for (int64_t c = 0; c < channels; ++c) {
        largest = std::max(largest, x[c]);
        sum += x[c];
      }
      args.winners[row] = static_cast<int32_t>(first_place(x, channels, largest));
      args.y[2 * row] = largest;
      args.y[2 * row + 1] = sum / static_cast<float>(channels);
    }
  });
}

void spatial_pool_backward(CpuContext& context, const SpatialPoolBackwardArgs& args) {
  const int64_t channels = args.channels;
  parallel_for(context, args.rows, grain(channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* dx = args.dx + row * channels;
      std::fill(dx, dx + channels, args.dy[2 * row + 1] / static_cast<float>(channels));
      dx[args.winners[row]] += args.dy[2 * row];
    }
  });
}

void spatial_gate_forward(CpuContext& context, const SpatialGateForwardArgs& args) {
  const int64_t channels = args.channels;
  parallel_for(context, args.rows, grain(channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float gate = vector_sigmoid(args.logits[row]);
      const float* x = args.x + row * channels;
      float* y = args.y + row * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) y[c] = gate * x[c];
    }
  });
}

void spatial_gate_backward(CpuContext& context, const SpatialGateBackwardArgs& args) {
  const int64_t channels = args.channels;
  parallel_for(context, args.rows, grain(channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float gate = vector_sigmoid(args.logits[row]);
      const float* dy = args.dy + row * channels;
      if (args.dlogits != nullptr) {
        const float* x = args.x + row * channels;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < channels; ++c) sum += dy[c] * x[c];
        args.dlogits[row] = sum * gate * (1.0f - gate);
      }
      if (args.dx != nullptr) {
        float* dx = args.dx + row * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) dx[c] = gate * dy[c];
      }
    }
  });
}

}  // namespace tessera
