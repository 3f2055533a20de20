//   combine_splits  a thread per element: 4 (splits + 1) bytes an element
//   combine_rows    the same with statistics of the rows (kernels/row_moments.h), which a product that is whole leaves
//                   itself: a block per 128 rows of one image and 32 channels
//   clear_rows      a thread per part, of every branch
// A block finds its target in a table of the arguments, as in the product kernels.
#include "kernels/cuda/conv2d_combine.h"

#include <algorithm>

#include "kernels/cuda/conv2d_call.h"
#include "kernels/cuda/row_moments.h"

namespace tessera {
inline namespace TESSERA_PORT {

namespace {

constexpr int kThreads = 256;
static_assert(kThreads == kMomentChannels * kMomentThreads);

struct CombineArgs {
  CombineLayout layout;
  int32_t target_count;
  CombineBranch branches[kBranchesPerLaunch];
  CombineTarget targets[kMapsPerLaunch];
};
static_assert(sizeof(CombineArgs) <= kMostArgumentBytes);

__device__ __forceinline__ const CombineTarget& target_of_block(const CombineArgs& args) {
  int index = 0;
  while (index + 1 < args.target_count && static_cast<int>(blockIdx.x) >= args.targets[index + 1].first_block) ++index;
  return args.targets[index];
}

// Element `at`, written and returned.
__device__ __forceinline__ float combine_element(const CombineArgs& args, const CombineBranch& branch, int64_t at,
                                                 int64_t channel) {
  float sum = 0.0f;
  for (int64_t split = 0; split < branch.splits; ++split) sum += branch.partial[split * args.layout.split_stride + at];
  if (branch.scale != nullptr) sum *= branch.scale[channel];
  if (branch.bias != nullptr) sum += branch.bias[channel];
  if (branch.residual != nullptr) sum += branch.residual[at];
  const float value = args.layout.relu && sum < 0.0f ? 0.0f : sum;
  branch.target[at] = value;
  return value;
}

// A thread per element.
__global__ void __launch_bounds__(kThreads) combine_splits(const CombineArgs args) {
  const CombineTarget& target = target_of_block(args);
  const int64_t i = (int64_t{blockIdx.x} - target.first_block) * kThreads + threadIdx.x, at = target.first + i;
  if (i < target.count)
    combine_element(args, args.branches[target.branch], at, at / args.layout.run % args.layout.channels);
}

// Block (x, y): 128 rows of one image, channels 32 y ...
__global__ void __launch_bounds__(kThreads) combine_rows(const CombineArgs args) {
  const CombineTarget& target = target_of_block(args);
  const CombineBranch& branch = args.branches[target.branch];
  const int chunk = static_cast<int>(blockIdx.x) - target.first_block;
  const int64_t channel = int64_t{blockIdx.y} * kMomentChannels + threadIdx.x;
  const int64_t first_row = int64_t{chunk} * kMomentRows, left = target.count / args.layout.channels - first_row;
  const int rows = static_cast<int>(left < kMomentRows ? left : kMomentRows);
  const int64_t first = target.first + (first_row + threadIdx.y) * args.layout.channels + channel;
  const Moments of_chunk = chunk_moments(rows, channel < args.layout.channels, [&](int i) {
    return combine_element(args, branch, first + int64_t{i} * kMomentThreads * args.layout.channels, channel);
  });
  if (threadIdx.y != 0) return;
  const int64_t part = int64_t{target.first_part} + chunk;
  if (channel == 0) branch.moments.rows[part] = rows;
  if (channel < args.layout.channels) of_chunk.store(branch.moments.values, part, args.layout.channels, channel);
}

struct ClearArgs {
  MomentRows branches[kBranchesPerLaunch];
};

__global__ void __launch_bounds__(kThreads) clear_rows(const ClearArgs args) {
  const int64_t part = int64_t{blockIdx.x} * kThreads + threadIdx.x;
#pragma unroll
  for (int branch = 0; branch < kBranchesPerLaunch; ++branch) {
    if (part < args.branches[branch].count) args.branches[branch].rows[part] = 0;
  }
}

}  // namespace

void combine(DeviceContext& context, const CombineLayout& layout, std::span<const CombineBranch> branches,
             std::span<const CombineTarget> targets) {
  if (targets.empty()) return;
  CombineArgs args{};
  args.layout = layout;
  const bool moments = branches.front().moments.rows != nullptr;
  for_each_launch(targets, [&](std::span<const CombineTarget> some, int32_t first_branch) {
    copy_branches(branches, first_branch, args.branches);
    int64_t blocks = 0;
    for (size_t i = 0; i < some.size(); ++i) {
      args.targets[i] = some[i];
      args.targets[i].branch -= first_branch;
      args.targets[i].first_block = to_int32(blocks);
      blocks += moments ? ceil_div<int64_t>(some[i].count / layout.channels, kMomentRows)
                        : ceil_div<int64_t>(some[i].count, kThreads);
    }
    args.target_count = static_cast<int32_t>(some.size());
    const auto grid = static_cast<unsigned>(to_int32(blocks));
    if (moments) {
      const auto columns = static_cast<unsigned>(ceil_div<int64_t>(layout.channels, kMomentChannels));
      launch(combine_rows, dim3(grid, columns), dim3(kMomentChannels, kMomentThreads), 0, context, args);
    } else {
      launch(combine_splits, grid, kThreads, 0, context, args);
    }
  });
}

void clear_parts(DeviceContext& context, std::span<const MomentRows> branches) {
  for (size_t begin = 0; begin < branches.size(); begin += kBranchesPerLaunch) {
    const size_t count = std::min<size_t>(kBranchesPerLaunch, branches.size() - begin);
    ClearArgs args{};
    int64_t most = 0;
    for (size_t i = 0; i < count; ++i) {
      args.branches[i] = branches[begin + i];
      most = std::max(most, args.branches[i].count);
    }
    const auto blocks = static_cast<unsigned>(to_int32(ceil_div<int64_t>(most, kThreads)));
    launch(clear_rows, blocks, kThreads, 0, context, args);
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
