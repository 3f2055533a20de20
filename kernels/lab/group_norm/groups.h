// What the versions of this folder share: the elements of a segment and group, and y from their statistics. They are
// here to be read and tested; kernels/cuda/group_norm.cu is the one that ships.
#pragma once

#include "kernels/cuda/warp.h"
#include "kernels/group_norm.h"

namespace tessera::group_norm_lab {
inline namespace TESSERA_PORT {

inline constexpr int kThreads = 256;

// Blocks of kernels that own one segment and group each: block s * G + g.
inline unsigned group_blocks(const GroupNormForwardArgs& args) {
  return static_cast<unsigned>(args.segment_count * args.groups);
}

__device__ __forceinline__ double elements_of(const GroupNormForwardArgs& args, const RowRange& segment) {
  const int64_t count = segment.count * (args.channels / args.groups);
  return count > 0 ? static_cast<double>(count) : 1.0;
}

// Calls body(element, channel) for this thread's elements of the block's segment and group: a warp reads the channels
// of the group, row after row.
template <typename Body>
__device__ __forceinline__ void for_each_of_group(const GroupNormForwardArgs& args, const RowRange& segment,
                                                  Body&& body) {
  const int64_t size = args.channels / args.groups, first = blockIdx.x % args.groups * size;
  for (int64_t i = threadIdx.x; i < segment.count * size; i += kThreads) {
    const int64_t channel = first + i % size;
    body((segment.begin + i / size) * args.channels + channel, channel);
  }
}

// Keeps the statistics of the block's segment and group.
__device__ __forceinline__ void store_statistics(const GroupNormForwardArgs& args, double mean, double variance) {
  if (threadIdx.x != 0) return;
  args.mean[blockIdx.x] = static_cast<float>(mean);
  args.rstd[blockIdx.x] = static_cast<float>(1.0 / sqrt(variance + args.epsilon));
}

__device__ __forceinline__ float normalised(const GroupNormForwardArgs& args, float x, int64_t group, int64_t channel) {
  const float y = (x - args.mean[group]) * args.rstd[group] * args.weight[channel] + args.bias[channel];
  return args.relu && y < 0.0f ? 0.0f : y;
}

// Block: a segment and group.
static __global__ void __launch_bounds__(kThreads)
    normalise_groups(GroupNormForwardArgs args, const RowRange* segments) {
  for_each_of_group(args, segments[blockIdx.x / args.groups],
                    [&](int64_t i, int64_t channel) { args.y[i] = normalised(args, args.x[i], blockIdx.x, channel); });
}

}  // namespace TESSERA_PORT
}  // namespace tessera::group_norm_lab
