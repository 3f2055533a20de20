// Entry points of the weight gradient: tables of maps and branches, choice of a tile, launches of
// conv2d_weight_kernel.h (one file per precision) and, with splits, of conv2d_combine.cu.
#include "kernels/cuda/conv2d_weight.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/cuda/conv2d_call.h"
#include "kernels/cuda/conv2d_combine.h"
#include "kernels/cuda/conv2d_library.h"

namespace tessera {

namespace {

void launch_in(ConvMath math, DeviceContext& context, const WeightArgs& args, ConvTile tile, bool chunks) {
  switch (math) {
    case ConvMath::fp32:
      return launch_weight<ConvMath::fp32>(context, args, tile, chunks);
    case ConvMath::tf32:
      return launch_weight<ConvMath::tf32>(context, args, tile, chunks);
    case ConvMath::bf16:
      return launch_weight<ConvMath::bf16>(context, args, tile, chunks);
    default:
      return launch_weight<ConvMath::fp16>(context, args, tile, chunks);
  }
}

// Up to kMapsPerLaunch maps of a branch, with splits of their own.
struct WeightRun {
  WeightBranch args{};
  std::vector<WeightMap> maps;
  size_t branch = 0;
  int64_t first_split = 0;  // of the branch

  WeightRun(size_t of_branch, std::span<const Conv2dMap> of_maps, ConvMath math, int splits) : branch(of_branch) {
    const int pixels = pixels_per_block(math);
    int64_t blocks = 0;
    for (const Conv2dMap& map : of_maps) {
      to_int32(map.in_rows());
      maps.push_back({map.in_row, map.out_row, to_int32(map.height), to_int32(map.width), to_int32(map.out_height),
                      to_int32(map.out_width), to_int32(map.out_rows()), to_int32(blocks)});
      blocks += ceil_div<int64_t>(map.out_rows(), pixels);
    }
    if (blocks == 0) return;
    args.blocks = to_int32(blocks);
    args.blocks_per_split = ceil_div(args.blocks, std::min(args.blocks, splits));
    args.splits = ceil_div(args.blocks, args.blocks_per_split);
  }
};

// Launches the runs, as many at a time as one launch has room for.
void launch_runs(DeviceContext& context, WeightArgs args, std::span<const WeightRun> runs, ConvMath math, ConvTile tile,
                 bool chunks) {
  while (!runs.empty()) {
    size_t count = 0, maps = 0;
    args.splits = 0;
    for (; count < std::min<size_t>(runs.size(), kBranchesPerLaunch); ++count) {
      const WeightRun& run = runs[count];
      if (maps + run.maps.size() > kMapsPerLaunch) break;
      WeightBranch& branch = args.branches[count] = run.args;
      branch.first_map = static_cast<int32_t>(maps);
      std::copy(run.maps.begin(), run.maps.end(), args.maps + maps);
      maps += run.maps.size();
      branch.map_end = static_cast<int32_t>(maps);
      args.splits = std::max(args.splits, branch.splits);
    }
    args.branch_count = static_cast<int32_t>(count);
    launch_in(math, context, args, tile, chunks);
    runs = runs.subspan(count);
  }
}

// dweight [out_channels, taps, group_in].
CombineLayout layout_of(const Conv2dWindow& window) {
  return {window.weight_elements(), window.taps() * window.group_in(), window.out_channels, false};
}

// Of the tiles that a choice may name there are these kernels here.
ConvTile weight_tile(const ConvChoice& choice) {
  return choice.tile == ConvTile::m128n128 || choice.tile == ConvTile::m16n64 ? choice.tile : ConvTile::m64n64;
}

// operands: x and dy of each branch.
void launch_weights(DeviceContext& context, const Conv2dBranches<Conv2dBackwardWeightArgs>& branches,
                    std::span<const ConvOperands> operands, const ConvChoice& choice) {
  const Conv2dWindow& window = branches.front().window;
  const ConvMath math = operands.front().math;
  const ConvTile tile = weight_tile(choice);
  const int64_t elements = window.weight_elements();
  const int64_t x_group = operands.front().x_group, dy_group = operands.front().dy_group;
  const int64_t columns = window.taps() * x_group;
  const WeightArgs whole{.split_stride = elements,
                         .group_in = to_int32(window.group_in()),
                         .group_out = to_int32(window.group_out()),
                         .groups = to_int32(window.groups),
                         .x_group = to_int32(x_group),
                         .dy_group = to_int32(dy_group),
                         .window_width = to_int32(window.width),
                         .stride = to_int32(window.stride),
                         .padding = to_int32(window.padding),
                         .columns = to_int32(columns),
                         .row_tiles = to_int32(ceil_div<int64_t>(window.group_out(), rows_of(tile))),
                         .column_tiles = to_int32(ceil_div<int64_t>(columns, columns_of(tile)))};
  to_int32(int64_t{whole.row_tiles} * whole.column_tiles * whole.groups);

  std::vector<WeightRun> runs;
  std::vector<int64_t> splits(branches.size(), 0);
  bool chunks = true;
  for (size_t i = 0; i < branches.size(); ++i) {
    const Conv2dBackwardWeightArgs& args = branches[i];
    chunks = chunks && (in_16_bits(math) || (aligned4(x_group, args.x) && aligned4(dy_group, args.dy)));
    for (size_t begin = 0; begin < args.maps.size(); begin += kMapsPerLaunch) {
      const size_t count = std::min<size_t>(kMapsPerLaunch, args.maps.size() - begin);
      WeightRun run(i, args.maps.subspan(begin, count), math, std::max(1, choice.splits));
      if (run.args.splits == 0) continue;
      run.first_split = splits[i];
      splits[i] += run.args.splits;
      runs.push_back(std::move(run));
    }
  }
  // The sums of one split are the result; more, and none, are combined.
  int64_t partial_results = 0;
  for (const int64_t of_branch : splits) partial_results += of_branch == 1 ? 0 : of_branch;
  Scratch<float> memory(context, static_cast<size_t>(partial_results * elements));
  std::vector<CombineBranch> combined;
  std::vector<CombineTarget> targets;
  std::vector<float*> partial(branches.size(), nullptr);
  float* next = memory.data();
  for (size_t i = 0; i < branches.size(); ++i) {
    if (splits[i] == 1) continue;
    partial[i] = next;
    next += splits[i] * elements;
    targets.push_back({0, elements, static_cast<int32_t>(combined.size())});
    combined.push_back({partial[i], branches[i].dweight, branches[i].scale, nullptr, nullptr, {}, splits[i]});
  }
  for (WeightRun& run : runs) {
    const bool direct = splits[run.branch] == 1;
    run.args.x = operands[run.branch].x;
    run.args.dy = operands[run.branch].dy;
    run.args.scale = direct ? branches[run.branch].scale : nullptr;
    run.args.dweight = direct ? branches[run.branch].dweight : partial[run.branch] + run.first_split * elements;
  }
  launch_runs(context, whole, runs, math, tile, chunks);
  combine(context, layout_of(window), combined, targets);
}

void run_backward_weight(DeviceContext& context, const Conv2dBranches<Conv2dBackwardWeightArgs>& branches,
                         const ConvChoice* given) {
  if (branches.empty() || branches.front().window.weight_elements() == 0) return;
  const Conv2dWindow& window = branches.front().window;
  const ConvMath math = math_of_call(branches.front().math, window.group_in());
  std::vector<ChannelRows> arrays;
  int64_t most_pixels = 0;
  for (const Conv2dBackwardWeightArgs& args : branches) {
    arrays.push_back(x_rows(window, args.x, args.maps));
    arrays.push_back(dy_rows(window, args.dy, args.maps));
    int64_t pixels = 0;
    for (const Conv2dMap& map : args.maps) pixels += map.out_rows();
    most_pixels = std::max(most_pixels, pixels);
  }
  const StoredRows stored(context, math, arrays);
  std::vector<ConvOperands> operands;
  for (size_t i = 0; i < branches.size(); ++i) {
    operands.push_back({.math = math,
                        .x = stored[2 * i],
                        .dy = stored[2 * i + 1],
                        .x_group = stored_channels(math, window.group_in()),
                        .dy_group = stored_channels(math, window.group_out())});
  }
  const std::vector<int64_t> rows(branches.size(), window.group_out());
  const int64_t columns = window.taps() * stored_channels(math, window.group_in());
  const LibraryCall offer = library_backward_weight(context, branches, operands);
  const std::vector<Conv2dMap> maps = maps_of(branches);
  run_choice(
      context, given,
      {.pass = ConvPass::weight,
       .math = math,
       .rows = rows,
       .columns = columns,
       .groups = window.groups,
       .depth = most_pixels,
       .taps = window.taps(),
       .libraries = offer.offered,
       .branches = static_cast<int64_t>(branches.size()),
       .window = window,
       .maps = maps,
       .epilogue = any_scaled(branches)},
      offer, [&](const ConvChoice& choice) { launch_weights(context, branches, operands, choice); },
      [&](ConvSource source) {
        offer.run(source);
        // Not on the emulator, which has no libraries.
        std::vector<CombineBranch> scaled;
        std::vector<CombineTarget> targets;
        for (const Conv2dBackwardWeightArgs& args : branches) {
          if (args.scale == nullptr) continue;
          targets.push_back({0, window.weight_elements(), static_cast<int32_t>(scaled.size())});
          scaled.push_back({args.dweight, args.dweight, args.scale, nullptr, nullptr, {}, 1});
        }
        combine(context, layout_of(window), scaled, targets);
      });
}

}  // namespace

void conv2d_backward_weight(DeviceContext& context, const Conv2dBranches<Conv2dBackwardWeightArgs>& branches) {
  run_backward_weight(context, branches, nullptr);
}
void conv2d_backward_weight(DeviceContext& context, const Conv2dBranches<Conv2dBackwardWeightArgs>& branches,
                            const ConvChoice& choice) {
  run_backward_weight(context, branches, &choice);
}

}  // namespace tessera
