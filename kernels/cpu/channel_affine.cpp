#include "kernels/channel_affine.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

int64_t grain(int64_t channels) { return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, channels)); }

}  // namespace

void channel_affine_forward(CpuContext& context, const ChannelAffineForwardArgs& args) {
  parallel_for(context, args.rows, grain(args.channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * args.channels;
      float* y = args.y + row * args.channels;
      if (args.relu) {
#pragma omp simd
        for (int64_t c = 0; c < args.channels; ++c) y[c] = std::max(x[c] * args.scale[c] + args.shift[c], 0.0f);
      } else {
#pragma omp simd
        for (int64_t c = 0; c < args.channels; ++c) y[c] = x[c] * args.scale[c] + args.shift[c];
      }
    }
  });
}

void channel_affine_backward(CpuContext& context, const ChannelAffineBackwardArgs& args) {
  parallel_for(context, args.rows, grain(args.channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* dy = args.dy + row * args.channels;
      float* dx = args.dx + row * args.channels;
      if (args.y != nullptr) {
        const float* y = args.y + row * args.channels;
#pragma omp simd
        for (int64_t c = 0; c < args.channels; ++c) dx[c] = y[c] > 0.0f ? dy[c] * args.scale[c] : 0.0f;
      } else {
#pragma omp simd
        for (int64_t c = 0; c < args.channels; ++c) dx[c] = dy[c] * args.scale[c];
      }
    }
  });
}

}  // namespace tessera
