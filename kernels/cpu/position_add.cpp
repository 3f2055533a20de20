#include "kernels/position_add.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

constexpr int64_t kGrain = 1 << 14;  // elements worth a thread

// to[c] += from[c]
void add_row(float* to, const float* from, int64_t channels) {
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) to[c] += from[c];
}

}  // namespace

void position_add_forward(CpuContext& context, const PositionAddForwardArgs& args) {
  const int64_t width = args.width, channels = args.channels, line = width * channels;
  parallel_for(context, args.images * args.height, kGrain / std::max<int64_t>(1, line),
               [&](int64_t begin, int64_t end) {
                 for (int64_t at = begin; at < end; ++at) {
                   const float* row = args.row + at % args.height * channels;
                   for (int64_t j = 0; j < width; ++j) {
                     const float* x = args.x + at * line + j * channels;
                     const float* column = args.column + j * channels;
                     float* y = args.y + at * line + j * channels;
#pragma omp simd
                     for (int64_t c = 0; c < channels; ++c) y[c] = x[c] + row[c] + column[c];
                   }
                 }
               });
}

// Every output vector gathers its cells in order: a whole vector belongs to one thread.
void position_add_backward(CpuContext& context, const PositionAddBackwardArgs& args) {
  const int64_t height = args.height, width = args.width, channels = args.channels, line = width * channels;
  const int64_t work = args.images * height * line;
  if (args.drow != nullptr) {
    parallel_for(context, height, std::max<int64_t>(1, height * kGrain / std::max<int64_t>(1, work)),
                 [&](int64_t begin, int64_t end) {
                   std::fill(args.drow + begin * channels, args.drow + end * channels, 0.0f);
                   for (int64_t i = begin; i < end; ++i) {
                     for (int64_t n = 0; n < args.images; ++n) {
                       const float* dy = args.dy + (n * height + i) * line;
                       for (int64_t j = 0; j < width; ++j)
                         add_row(args.drow + i * channels, dy + j * channels, channels);
                     }
                   }
                 });
  }
  if (args.dcolumn != nullptr) {
    parallel_for(context, width, std::max<int64_t>(1, width * kGrain / std::max<int64_t>(1, work)),
                 [&](int64_t begin, int64_t end) {
                   std::fill(args.dcolumn + begin * channels, args.dcolumn + end * channels, 0.0f);
                   for (int64_t at = 0; at < args.images * height; ++at) {
                     const float* dy = args.dy + at * line;
                     for (int64_t j = begin; j < end; ++j) {
                       add_row(args.dcolumn + j * channels, dy + j * channels, channels);
                     }
                   }
                 });
  }
}

}  // namespace tessera
