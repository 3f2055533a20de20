// Sums over rows for every channel, in a fixed order: gradients of parameters that all rows share.
//     result[t, g, c] = sum of term t of (g, k, c) over k in [0, count)     for the terms t and the groups g
// A block of 32 x 8 threads owns a chunk of k of one group and 32 channels: lane = channel, so a warp reads consecutive
// addresses, thread row y takes k = y, y + 8, ... of the chunk. A second kernel adds the chunks in order, in double.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kSumChannels = 32, kSumRowThreads = 8;

struct ColumnSumShape {
  int64_t groups, count, channels;
  int64_t chunk;   // k of one block
  int64_t chunks;  // of a group

  ColumnSumShape(int64_t groups_, int64_t count_, int64_t channels_)
      : groups(groups_), count(count_), channels(channels_) {
    // At most 256 chunks: one thread adds them up.
    chunk = ceil_div<int64_t>(count, 256) > 128 ? ceil_div<int64_t>(count, 256) : 128;
    chunks = ceil_div(count, chunk);
  }
};

// partial: [groups, chunks, terms, C]. Term::operator()(g, k, c, sums) adds to sums[terms].
template <int terms, typename Term>
__global__ void __launch_bounds__(kSumChannels* kSumRowThreads)
    sum_column_chunks(Term term, ColumnSumShape shape, float* partial) {
  SHARED(shared, float[terms][kSumRowThreads][kSumChannels]);
  const int64_t group = blockIdx.x / shape.chunks, begin = blockIdx.x % shape.chunks * shape.chunk;
  const int64_t end = begin + shape.chunk < shape.count ? begin + shape.chunk : shape.count;
  const int64_t channel = int64_t{blockIdx.y} * kSumChannels + threadIdx.x;
  float sums[terms] = {};
  if (channel < shape.channels) {
    for (int64_t k = begin + threadIdx.y; k < end; k += kSumRowThreads) term(group, k, channel, sums);
  }
  for (int t = 0; t < terms; ++t) shared[t][threadIdx.y][threadIdx.x] = sums[t];
  __syncthreads();
  if (threadIdx.y >= terms || channel >= shape.channels) return;
  float sum = 0.0f;
  for (int y = 0; y < kSumRowThreads; ++y) sum += shared[threadIdx.y][y][threadIdx.x];
  partial[(int64_t{blockIdx.x} * terms + threadIdx.y) * shape.channels + channel] = sum;
}

template <int terms>
struct ColumnSumResults {
  float* of[terms];  // [groups, C] each, nullptr: not wanted
};

template <int terms>
__global__ void __launch_bounds__(kSumChannels* kSumRowThreads)
    add_column_chunks(const float* partial, ColumnSumShape shape, ColumnSumResults<terms> results) {
  for_each_element(shape.groups * shape.channels, [&](int64_t i) {
    const int64_t group = i / shape.channels, channel = i - group * shape.channels;
#pragma unroll
    for (int t = 0; t < terms; ++t) {
      if (results.of[t] == nullptr) continue;
      double sum = 0;
      for (int64_t chunk = 0; chunk < shape.chunks; ++chunk) {
        sum += partial[((group * shape.chunks + chunk) * terms + t) * shape.channels + channel];
      }
      results.of[t][i] = static_cast<float>(sum);
    }
  });
}

// Term: copied to the device. Results nobody wants are nullptr.
template <int terms, typename Term>
void launch_column_sums(LaunchSite site, Term term, const ColumnSumShape& shape,
                        const ColumnSumResults<terms>& results) {
  static_assert(terms <= kSumRowThreads);
  constexpr int kThreads = kSumChannels * kSumRowThreads;
  const int64_t blocks = shape.groups * shape.chunks;
  Scratch<float> partial(site.context, static_cast<size_t>(blocks * terms * shape.channels));
  const dim3 grid(static_cast<unsigned>(blocks),
                  static_cast<unsigned>(ceil_div<int64_t>(shape.channels, kSumChannels)));
  launch(sum_column_chunks<terms, Term>, grid, dim3(kSumChannels, kSumRowThreads), 0, site, term, shape,
         partial.data());
  launch(add_column_chunks<terms>, grid_for(shape.groups * shape.channels, kThreads), kThreads, 0, site, partial.data(),
         shape, results);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
