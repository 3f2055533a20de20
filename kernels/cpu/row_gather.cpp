#include "kernels/row_gather.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

int64_t grain(int64_t channels) { return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, channels)); }

}  // namespace

void row_gather_forward(CpuContext& context, const RowGatherForwardArgs& args) {
  parallel_for(context, args.count, grain(args.channels), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      float* to = args.y + j * args.channels;
      if (args.index[j] < 0 || args.index[j] >= args.rows) {
        std::fill(to, to + args.channels, std::numeric_limits<float>::quiet_NaN());
        continue;
      }
      const float* from = args.x + args.index[j] * args.channels;
      std::copy(from, from + args.channels, to);
    }
  });
}

// Each thread owns a range of rows and walks all indices: no two write to the same row, and the order of the additions
// is that of j for any number of threads.
void row_gather_backward(CpuContext& context, const RowGatherBackwardArgs& args) {
  parallel_for(context, args.rows, grain(args.channels), [&](int64_t begin, int64_t end) {
    std::fill(args.dx + begin * args.channels, args.dx + end * args.channels, 0.0f);
    for (int64_t j = 0; j < args.count; ++j) {
      if (args.index[j] < begin || args.index[j] >= end) continue;
      const float* from = args.dy + j * args.channels;
      float* to = args.dx + args.index[j] * args.channels;
#pragma omp simd
      for (int64_t c = 0; c < args.channels; ++c) to[c] += from[c];
    }
  });
}

}  // namespace tessera
