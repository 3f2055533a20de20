#include "kernels/row_gather.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

int64_t grain(int64_t channels) { return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, channels)); }

}  // namespace

void row_gather_forward(CpuContext& context, const RowGatherForwardArgs& args) {
  for (int64_t j = 0; j < args.count; ++j) {
    if (args.index[j] < 0 || args.index[j] >= args.rows) {
      throw std::out_of_range("row_gather: index " + std::to_string(args.index[j]) + " of " +
                              std::to_string(args.rows) + " rows");
    }
  }
  parallel_for(context, args.count, grain(args.channels), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      const float* from = args.x + args.index[j] * args.channels;
      std::copy(from, from + args.channels, args.y + j * args.channels);
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
