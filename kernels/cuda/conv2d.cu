// Entry points of the convolution, forward and data gradient: they describe a call as a table of maps and branches,
// choose a tile, and launch the product kernels (conv2d_gather_kernel.h; one file per precision) on operands that
// conv2d_operands.cu laid out, and conv2d_combine.cu after them. The weight gradient is conv2d_weight.cu. The
// simpler versions that the product kernels grew from are kernels/lab/conv2d, 1_definition.h to 6_pipeline.h.
#include <algorithm>
#include <vector>

#include "kernels/cuda/conv2d_call.h"
#include "kernels/cuda/conv2d_combine.h"
#include "kernels/cuda/conv2d_gather.h"
#include "kernels/cuda/conv2d_library.h"

namespace tessera {

namespace {

// What is the same for all launches of a call, and the rows of the targets that they cover.
struct GatherCall {
  GatherArgs args{};  // without tables
  std::vector<GatherBranch> branches;
  std::vector<GatherMap> maps;
  struct Target {
    int64_t first_row, rows;
    int32_t branch, first_part;
  };
  std::vector<Target> targets;
  std::vector<int64_t> parts;  // of the statistics of each branch
  bool chunks = true;

  bool moments() const { return branches.front().moments.rows != nullptr; }
  bool epilogue() const {
    return args.relu || moments() || std::any_of(branches.begin(), branches.end(), [](const GatherBranch& branch) {
             return branch.scale != nullptr || branch.bias != nullptr || branch.residual != nullptr;
           });
  }
};

// Combines partial results of `splits` (or adds an epilogue to one) over all rows of the call's targets.
void combine_targets(DeviceContext& context, const GatherCall& call, std::span<const float* const> partial,
                     int64_t splits, int64_t split_stride) {
  std::vector<CombineBranch> branches;
  for (size_t i = 0; i < call.branches.size(); ++i) {
    const GatherBranch& of = call.branches[i];
    branches.push_back({partial[i], of.target, of.scale, of.bias, of.residual, of.moments, splits});
  }
  const int64_t channels = call.args.target_channels;
  std::vector<CombineTarget> targets;
  for (const GatherCall::Target& of : call.targets) {
    targets.push_back({of.first_row * channels, of.rows * channels, of.branch, of.first_part, 0});
  }
  combine(context, {split_stride, 1, channels, call.args.relu}, branches, targets);
}

void clear_moments(DeviceContext& context, const GatherCall& call) {
  if (!call.moments()) return;
  std::vector<MomentRows> rows;
  for (size_t i = 0; i < call.branches.size(); ++i) rows.push_back({call.branches[i].moments.rows, call.parts[i]});
  clear_parts(context, rows);
}

void launch_in(ConvMath math, DeviceContext& context, const GatherArgs& args, ConvTile tile, bool chunks,
               int64_t row_tiles) {
  switch (math) {
    case ConvMath::fp32:
      return launch_gather<ConvMath::fp32>(context, args, tile, chunks, row_tiles);
    case ConvMath::tf32:
      return launch_gather<ConvMath::tf32>(context, args, tile, chunks, row_tiles);
    case ConvMath::bf16:
      return launch_gather<ConvMath::bf16>(context, args, tile, chunks, row_tiles);
    case ConvMath::fp16:
      return launch_gather<ConvMath::fp16>(context, args, tile, chunks, row_tiles);
    case ConvMath::fp16_accumulate_chunked:
      return launch_gather<ConvMath::fp16_accumulate_chunked>(context, args, tile, chunks, row_tiles);
  }
}

// There is no gather kernel of 16 rows, which a choice may name: that one is for gradients of weights.
ConvTile gather_tile(const ConvChoice& choice) {
  return choice.tile == ConvTile::m16n64 ? ConvTile::m64n64 : choice.tile;
}

void launch_call(DeviceContext& context, const GatherCall& call, ConvMath math, const ConvChoice& choice) {
  clear_moments(context, call);
  GatherArgs args = call.args;
  const ConvTile tile = gather_tile(choice);
  args.column_tiles = ceil_div(args.target_group, columns_of(tile));
  args.splits = std::max(1, choice.splits);
  // A split's partial sums: the targets of all branches, one behind the other.
  std::vector<int64_t> rows_before(call.branches.size() + 1, 0);
  for (const GatherCall::Target& target : call.targets) {
    int64_t& rows = rows_before[static_cast<size_t>(target.branch) + 1];
    rows = std::max(rows, target.first_row + target.rows);
  }
  for (size_t i = 1; i < rows_before.size(); ++i) rows_before[i] += rows_before[i - 1];
  args.split_stride = args.splits > 1 ? rows_before.back() * args.target_channels : 0;
  Scratch<float> memory(context, static_cast<size_t>(args.splits > 1 ? args.splits * args.split_stride : 0));
  std::vector<GatherBranch> branches = call.branches;
  std::vector<const float*> partial;
  args.pair_stores = args.target_group % 2 == 0 && args.split_stride % 2 == 0;
  for (size_t i = 0; i < branches.size(); ++i) {
    GatherBranch& branch = branches[i];
    if (args.splits > 1) {
      branch = {.source = branch.source,
                .weight = branch.weight,
                .target = memory.data() + rows_before[i] * args.target_channels};
      partial.push_back(branch.target);
    }
    args.pair_stores = args.pair_stores && reinterpret_cast<uintptr_t>(branch.target) % 8 == 0;
  }
  if (args.splits > 1) args.relu = false;
  for_each_launch(std::span<const GatherMap>(call.maps), [&](std::span<const GatherMap> maps, int32_t first_branch) {
    copy_branches(std::span<const GatherBranch>(branches), first_branch, args.branches);
    args.map_count = static_cast<int32_t>(maps.size());
    int64_t tiles = 0;
    for (size_t i = 0; i < maps.size(); ++i) {
      args.maps[i] = maps[i];
      args.maps[i].branch -= first_branch;
      args.maps[i].first_tile = to_int32(tiles);
      tiles += ceil_div(maps[i].rows, rows_of(tile));
    }
    to_int32(tiles * args.groups * args.column_tiles);
    launch_in(math, context, args, tile, call.chunks, tiles);
  });
  if (args.splits > 1) combine_targets(context, call, partial, args.splits, args.split_stride);
}

// What a library left out.
void apply_epilogue(DeviceContext& context, const GatherCall& call) {
  if (!call.epilogue()) return;
  std::vector<const float*> results;
  for (const GatherBranch& branch : call.branches) results.push_back(branch.target);
  clear_moments(context, call);
  combine_targets(context, call, results, 1, 0);
}

// named: pass, precision, and what a tuner tells calls apart by.
void run_gather(DeviceContext& context, const GatherCall& call, ConvWork named, const LibraryCall& offer,
                const ConvChoice* given) {
  std::vector<int64_t> rows;
  int64_t depth = 0;
  for (const GatherMap& map : call.maps) {
    rows.push_back(map.rows);
    depth = std::max<int64_t>(depth, map.depth);
  }
  named.rows = rows;
  named.columns = call.args.target_group;
  named.groups = call.args.groups;
  named.depth = depth;
  named.taps = depth / std::max(1, call.args.source_group);
  named.libraries = offer.offered;
  named.branches = static_cast<int64_t>(call.branches.size());
  run_choice(
      context, given, named, offer, [&](const ConvChoice& choice) { launch_call(context, call, named.math, choice); },
      [&](ConvSource source) {
        offer.run(source);
        apply_epilogue(context, call);
      });
}

// operands: of each branch.
GatherCall forward_call(const Conv2dBranches<Conv2dForwardArgs>& branches, std::span<const ConvOperands> operands) {
  const Conv2dWindow& window = branches.front().window;
  const ConvMath math = operands.front().math;
  const int64_t group_in = operands.front().x_group;
  GatherCall call;
  call.args = {.source_channels = to_int32(window.groups * group_in),
               .target_channels = to_int32(window.out_channels),
               .source_group = to_int32(group_in),
               .target_group = to_int32(window.group_out()),
               .groups = to_int32(window.groups),
               .relu = branches.front().relu};
  const int32_t padding = to_int32(window.padding);
  for (size_t i = 0; i < branches.size(); ++i) {
    const Conv2dForwardArgs& args = branches[i];
    const auto branch = static_cast<int32_t>(i);
    call.branches.push_back(
        {operands[i].x, operands[i].weight, args.y, args.scale, args.bias, args.residual, args.moments});
    call.chunks = call.chunks && (in_16_bits(math) || aligned4(group_in, args.x, args.weight));
    // Statistics are those of an image: then it is a map of its own.
    const bool by_image = args.moments.rows != nullptr;
    const MomentParts parts = moment_parts(args.maps);
    call.parts.push_back(parts.count());
    int64_t segment = 0;
    for (const Conv2dMap& map : args.maps) {
      to_int32(map.in_rows());
      const int64_t rows = by_image ? map.out_height * map.out_width : map.out_rows();
      for (int64_t image = 0; image < (by_image ? map.images : 1); ++image, ++segment) {
        const int32_t first_part = by_image ? to_int32(parts.begin(segment)) : 0;
        const int64_t target_row = map.out_row + image * rows;
        call.maps.push_back({.source_row = map.in_row + image * map.height * map.width,
                             .target_row = target_row,
                             .source_height = to_int32(map.height),
                             .source_width = to_int32(map.width),
                             .rows = to_int32(rows),
                             .height = to_int32(map.out_height),
                             .width = to_int32(map.out_width),
                             .target_height = to_int32(map.out_height),
                             .target_width = to_int32(map.out_width),
                             .source_step = to_int32(window.stride),
                             .source_y = -padding,
                             .source_x = -padding,
                             .taps_width = to_int32(window.width),
                             .depth = to_int32(window.taps() * group_in),
                             .first_part = first_part,
                             .branch = branch});
        call.targets.push_back({target_row, rows, branch, first_part});
      }
    }
  }
  return call;
}

// Where the taps of one axis lie for the targets with this remainder.
struct PhaseAxis {
  int32_t targets, taps, source;

  PhaseAxis(int64_t remainder, int64_t extent, int64_t window, const Conv2dWindow& of) {
    const int64_t phase = (remainder + of.padding) % of.stride;
    targets = to_int32((extent - remainder - 1) / of.stride + 1);
    taps = to_int32(taps_of_phase(window, of.stride, phase));
    source = to_int32((remainder + of.padding - phase) / of.stride) - (taps - 1);
  }
};

// operands: of each branch.
GatherCall backward_data_call(const Conv2dBranches<Conv2dBackwardDataArgs>& branches,
                              std::span<const ConvOperands> operands) {
  const Conv2dWindow& window = branches.front().window;
  const ConvMath math = operands.front().math;
  const int64_t group_out = operands.front().dy_group, stride = window.stride;
  GatherCall call;
  call.args = {.source_channels = to_int32(window.groups * group_out),
               .target_channels = to_int32(window.in_channels),
               .source_group = to_int32(group_out),
               .target_group = to_int32(window.group_in()),
               .groups = to_int32(window.groups)};
  for (size_t i = 0; i < branches.size(); ++i) {
    const Conv2dBackwardDataArgs& args = branches[i];
    const auto branch = static_cast<int32_t>(i);
    call.branches.push_back({.source = operands[i].dy, .weight = operands[i].weight, .target = args.dx});
    call.chunks = call.chunks && (in_16_bits(math) || aligned4(group_out, args.dy));
    call.parts.push_back(0);
    for (const Conv2dMap& map : args.maps) {
      to_int32(map.in_rows());
      to_int32(map.out_rows());
      for (int64_t y = 0; y < std::min(stride, map.height); ++y) {
        const PhaseAxis row(y, map.height, window.height, window);
        for (int64_t x = 0; x < std::min(stride, map.width); ++x) {
          const PhaseAxis column(x, map.width, window.width, window);
          const int64_t phase_y = (y + window.padding) % stride, phase_x = (x + window.padding) % stride;
          call.maps.push_back({.source_row = map.out_row,
                               .target_row = map.in_row,
                               .weight = TransposedWeights::phase(window, math, phase_y, phase_x),
                               .source_height = to_int32(map.out_height),
                               .source_width = to_int32(map.out_width),
                               .rows = to_int32(map.images * row.targets * column.targets),
                               .height = row.targets,
                               .width = column.targets,
                               .target_height = to_int32(map.height),
                               .target_width = to_int32(map.width),
                               .target_step = to_int32(stride),
                               .target_y = to_int32(y),
                               .target_x = to_int32(x),
                               .source_y = row.source,
                               .source_x = column.source,
                               .taps_width = std::max(1, column.taps),
                               .depth = to_int32(int64_t{row.taps} * column.taps * group_out),
                               .branch = branch});
        }
      }
      call.targets.push_back({map.in_row, map.in_rows(), branch, 0});
    }
  }
  return call;
}

void run_forward(DeviceContext& context, const Conv2dBranches<Conv2dForwardArgs>& branches, const ConvChoice* given) {
  if (branches.empty()) return;
  const Conv2dWindow& window = branches.front().window;
  const ConvMath math = math_of_call(branches.front().math, window.group_in());
  std::vector<ChannelRows> arrays;
  for (const Conv2dForwardArgs& args : branches) {
    arrays.push_back(x_rows(window, args.x, args.maps));
    arrays.push_back(weight_rows(window, args.weight));
  }
  const StoredRows stored(context, math, arrays);
  std::vector<ConvOperands> operands;
  for (size_t i = 0; i < branches.size(); ++i) {
    operands.push_back({.math = math,
                        .x = stored[2 * i],
                        .weight = stored[2 * i + 1],
                        .x_group = stored_channels(math, window.group_in())});
  }
  const std::vector<Conv2dMap> maps = maps_of(branches);
  const GatherCall call = forward_call(branches, operands);
  run_gather(context, call,
             {.pass = ConvPass::forward, .math = math, .window = window, .maps = maps, .epilogue = call.epilogue()},
             library_forward(context, branches, operands), given);
}

void run_backward_data(DeviceContext& context, const Conv2dBranches<Conv2dBackwardDataArgs>& branches,
                       const ConvChoice* given) {
  if (branches.empty()) return;
  const Conv2dWindow& window = branches.front().window;
  const ConvMath math = math_of_call(branches.front().math, window.group_out());
  std::vector<ChannelRows> arrays;
  for (const Conv2dBackwardDataArgs& args : branches) arrays.push_back(dy_rows(window, args.dy, args.maps));
  const StoredRows dy(context, math, arrays);
  const TransposedWeights weights(context, math, branches);
  std::vector<ConvOperands> operands;
  for (size_t i = 0; i < branches.size(); ++i) {
    operands.push_back(
        {.math = math, .weight = weights[i], .dy = dy[i], .dy_group = stored_channels(math, window.group_out())});
  }
  const auto with_weight = [&](size_t branch, const std::function<void(const void*)>& use) {
    const ChannelRows rows = weight_rows(window, branches[branch].weight);
    use(StoredRows(context, math, {&rows, 1})[0]);
  };
  const std::vector<Conv2dMap> maps = maps_of(branches);
  run_gather(context, backward_data_call(branches, operands),
             {.pass = ConvPass::data, .math = math, .window = window, .maps = maps, .epilogue = any_scaled(branches)},
             library_backward_data(context, branches, operands, with_weight), given);
}

}  // namespace

void conv2d_forward(DeviceContext& context, const Conv2dBranches<Conv2dForwardArgs>& branches) {
  run_forward(context, branches, nullptr);
}
void conv2d_forward(DeviceContext& context, const Conv2dBranches<Conv2dForwardArgs>& branches,
                    const ConvChoice& choice) {
  run_forward(context, branches, &choice);
}

void conv2d_backward_data(DeviceContext& context, const Conv2dBranches<Conv2dBackwardDataArgs>& branches) {
  run_backward_data(context, branches, nullptr);
}
void conv2d_backward_data(DeviceContext& context, const Conv2dBranches<Conv2dBackwardDataArgs>& branches,
                          const ConvChoice& choice) {
  run_backward_data(context, branches, &choice);
}

}  // namespace tessera
