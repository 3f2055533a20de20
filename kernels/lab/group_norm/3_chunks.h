// Version 3: segments are cut into chunks of 128 rows, and a block owns a chunk and 32 channels, lane = channel: a warp
// reads 128 consecutive bytes, and there are blocks enough for any GPU. The moments of a chunk are those of version 2,
// with its loss of digits; a second kernel adds the chunks in double. 12 bytes per element.
#pragma once

#include "kernels/lab/group_norm/groups.h"

namespace tessera::group_norm_lab {
inline namespace TESSERA_PORT {

inline constexpr int kChannels = 32, kRowThreads = 8;
inline constexpr int64_t kChunkRows = 128;

// Calls body(element, channel) for this thread's elements of a chunk: block (chunk, 32 channels, segment).
template <typename Body>
__device__ __forceinline__ void for_each_of_chunk(const GroupNormForwardArgs& args, const RowRange& segment,
                                                  Body&& body) {
  const int64_t channel = int64_t{blockIdx.y} * kChannels + threadIdx.x, begin = blockIdx.x * kChunkRows;
  const int64_t end = begin + kChunkRows < segment.count ? begin + kChunkRows : segment.count;
  if (channel >= args.channels) return;
  for (int64_t row = begin + threadIdx.y; row < end; row += kRowThreads) {
    body((segment.begin + row) * args.channels + channel, channel);
  }
}

// partial: [segments, chunks, 2, C]; chunks behind the end of a segment are 0.
static __global__ void __launch_bounds__(kChannels* kRowThreads)
    find_chunk_moments(GroupNormForwardArgs args, const RowRange* segments, float* partial) {
  SHARED(sums, float[kRowThreads][kChannels]);
  SHARED(squares, float[kRowThreads][kChannels]);
  float sum = 0.0f, square = 0.0f;
  for_each_of_chunk(args, segments[blockIdx.z], [&](int64_t i, int64_t) {
    sum += args.x[i];
    square += args.x[i] * args.x[i];
  });
  sums[threadIdx.y][threadIdx.x] = sum;
  squares[threadIdx.y][threadIdx.x] = square;
  __syncthreads();
  const int64_t channel = int64_t{blockIdx.y} * kChannels + threadIdx.x;
  if (threadIdx.y != 0 || channel >= args.channels) return;
  for (int y = 1; y < kRowThreads; ++y) {
    sum += sums[y][threadIdx.x];
    square += squares[y][threadIdx.x];
  }
  float* of_chunk = partial + (int64_t{blockIdx.z} * gridDim.x + blockIdx.x) * 2 * args.channels;
  of_chunk[channel] = sum;
  of_chunk[args.channels + channel] = square;
}

static __global__ void __launch_bounds__(kThreads)
    combine_moments(GroupNormForwardArgs args, const RowRange* segments, int64_t chunks, const float* partial) {
  const int64_t segment = blockIdx.x / args.groups, size = args.channels / args.groups;
  const float* of_segment = partial + segment * chunks * 2 * args.channels + blockIdx.x % args.groups * size;
  double sum = 0.0, square = 0.0;
  for (int64_t i = threadIdx.x; i < chunks * size; i += kThreads) {
    const float* of_chunk = of_segment + i / size * 2 * args.channels + i % size;
    sum += of_chunk[0];
    square += of_chunk[args.channels];
  }
  const double elements = elements_of(args, segments[segment]);
  const double mean = block_sum(sum) / elements, variance = block_sum(square) / elements - mean * mean;
  store_statistics(args, mean, variance > 0.0 ? variance : 0.0);
}

static __global__ void __launch_bounds__(kChannels* kRowThreads)
    normalise_chunks(GroupNormForwardArgs args, const RowRange* segments) {
  for_each_of_chunk(args, segments[blockIdx.z], [&](int64_t i, int64_t channel) {
    const int64_t group = int64_t{blockIdx.z} * args.groups + channel / (args.channels / args.groups);
    args.y[i] = normalised(args, args.x[i], group, channel);
  });
}

inline void normalise_by_chunks(DeviceContext& context, const GroupNormForwardArgs& args) {
  const DeviceArray<RowRange> segments(context, args.segments, args.segment_count);
  int64_t most_rows = 0;
  for (int64_t s = 0; s < args.segment_count; ++s) {
    most_rows = args.segments[s].count > most_rows ? args.segments[s].count : most_rows;
  }
  const int64_t chunks = ceil_div(most_rows, kChunkRows);
  Scratch<float> partial(context, static_cast<size_t>(args.segment_count * chunks * 2 * args.channels));
  const dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(ceil_div<int64_t>(args.channels, kChannels)),
                  static_cast<unsigned>(args.segment_count));
  const dim3 block(kChannels, kRowThreads);
  launch(find_chunk_moments, grid, block, 0, context, args, segments.data(), partial.data());
  launch(combine_moments, group_blocks(args), kThreads, 0, context, args, segments.data(), chunks, partial.data());
  launch(normalise_chunks, grid, block, 0, context, args, segments.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::group_norm_lab
