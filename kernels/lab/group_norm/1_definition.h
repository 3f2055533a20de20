// Version 1: the definition, a block per segment and group. The mean, then the squared deviations from it, then y: x is
// read three times, 16 bytes per element; two images of 32 groups are 64 blocks, fewer than a GPU has multiprocessors.
#pragma once

#include "kernels/lab/group_norm/groups.h"

namespace tessera::group_norm_lab {
inline namespace TESSERA_PORT {

static __global__ void __launch_bounds__(kThreads)
    find_mean_and_deviation(GroupNormForwardArgs args, const RowRange* segments) {
  const RowRange segment = segments[blockIdx.x / args.groups];
  const double elements = elements_of(args, segment);
  float sum = 0.0f, squares = 0.0f;
  for_each_of_group(args, segment, [&](int64_t i, int64_t) { sum += args.x[i]; });
  const double mean = block_sum(static_cast<double>(sum)) / elements;
  const float centre = static_cast<float>(mean);
  for_each_of_group(args, segment, [&](int64_t i, int64_t) { squares += (args.x[i] - centre) * (args.x[i] - centre); });
  store_statistics(args, mean, block_sum(static_cast<double>(squares)) / elements);
}

inline void normalise_by_definition(DeviceContext& context, const GroupNormForwardArgs& args) {
  const DeviceArray<RowRange> segments(context, args.segments, args.segment_count);
  launch(find_mean_and_deviation, group_blocks(args), kThreads, 0, context, args, segments.data());
  launch(normalise_groups, group_blocks(args), kThreads, 0, context, args, segments.data());
}

}  // namespace TESSERA_PORT
}  // namespace tessera::group_norm_lab
