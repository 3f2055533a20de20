// Entry points of the convolution: they describe a call as tables of maps, choose a tile, and launch the product
// kernels (conv2d_gather_kernel.h, conv2d_weight_kernel.h; one file per precision) on operands that conv2d_operands.cu
// laid out. Here is the kernel after them:
//   combine_splits     sums partial results in order and applies the epilogue: 4 (splits + 1) bytes an element
//   combine_rows       the same with statistics of the rows (kernels/row_moments.h), which a product that is whole
//                      leaves itself
#include "kernels/conv2d.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

#include "kernels/conv2d_choice.h"
#include "kernels/cuda/conv2d_gather.h"
#include "kernels/cuda/conv2d_library.h"
#include "kernels/cuda/conv2d_weight.h"
#include "kernels/cuda/libraries.h"
#include "kernels/cuda_devices.h"

namespace tessera {

namespace {

constexpr int kThreads = 256;
static_assert(kThreads == kMomentChannels * kMomentThreads);

struct CombineArgs {
  const float* partial;  // [splits, split_stride]
  float* target;
  const float* scale;                          // of channels, or null
  const float* bias;                           // or null
  const float* residual;                       // like target, or null
  int64_t split_stride, splits, first, count;  // elements first ... first + count - 1
  int64_t run, channels;                       // element i belongs to channel i / run % channels
  bool relu;
};

// Element `at`, written and returned.
__device__ __forceinline__ float combine_element(const CombineArgs& args, int64_t at, int64_t channel) {
  float sum = 0.0f;
  for (int64_t split = 0; split < args.splits; ++split) sum += args.partial[split * args.split_stride + at];
  if (args.scale != nullptr) sum *= args.scale[channel];
  if (args.bias != nullptr) sum += args.bias[channel];
  if (args.residual != nullptr) sum += args.residual[at];
  const float value = args.relu && sum < 0.0f ? 0.0f : sum;
  args.target[at] = value;
  return value;
}

__global__ void __launch_bounds__(kThreads) combine_splits(const CombineArgs args) {
  for_each_element(args.count, [&](int64_t i) {
    const int64_t at = args.first + i;
    combine_element(args, at, at / args.run % args.channels);
  });
}

// Block (x, y): rows 128 x ... of one image, channels 32 y ...
__global__ void __launch_bounds__(kThreads)
    combine_rows(const CombineArgs args, const RowMoments moments, int64_t first_part) {
  const int64_t channel = int64_t{blockIdx.y} * kMomentChannels + threadIdx.x;
  const int64_t first_row = int64_t{blockIdx.x} * kMomentRows, left = args.count / args.channels - first_row;
  const int rows = static_cast<int>(left < kMomentRows ? left : kMomentRows);
  const int64_t first = args.first + (first_row + threadIdx.y) * args.channels + channel;
  const Moments of_chunk = chunk_moments(rows, channel < args.channels, [&](int i) {
    return combine_element(args, first + int64_t{i} * kMomentThreads * args.channels, channel);
  });
  if (threadIdx.y != 0) return;
  if (channel == 0) moments.rows[first_part + blockIdx.x] = rows;
  if (channel < args.channels) of_chunk.store(moments.values, first_part + blockIdx.x, args.channels, channel);
}

int32_t to_int32(int64_t value) {
  if (value > std::numeric_limits<int32_t>::max()) {
    throw std::length_error("conv2d: a map with more than 2^31 - 1 cells or blocks");
  }
  return static_cast<int32_t>(value);
}

// What is the same for all launches of a call, and the rows of the target that they cover.
struct GatherCall {
  GatherArgs args{};
  std::vector<GatherMap> maps;
  struct Target {
    int64_t first_row, rows, first_part;
  };
  std::vector<Target> targets;
  int64_t parts = 0;  // of args.moments
  bool chunks = false;
};

// Combines `splits` partial results (or adds an epilogue to one) over all rows of the call's targets.
void combine(DeviceContext& context, const GatherCall& call, const GatherArgs& whole, const float* partial,
             int64_t splits, int64_t split_stride) {
  const int64_t channels = whole.target_channels;
  for (const GatherCall::Target& target : call.targets) {
    const int64_t count = target.rows * channels;
    const CombineArgs args{partial,        whole.target,
                           whole.scale,    whole.bias,
                           whole.residual, split_stride,
                           splits,         target.first_row * channels,
                           count,          1,
                           channels,       whole.relu};
    if (whole.moments.rows == nullptr) {
      launch(combine_splits, grid_for(count, kThreads), kThreads, 0, context, args);
    } else {
      const dim3 grid(static_cast<unsigned>(ceil_div<int64_t>(target.rows, kMomentRows)),
                      static_cast<unsigned>(ceil_div<int64_t>(channels, kMomentChannels)));
      launch(combine_rows, grid, dim3(kMomentChannels, kMomentThreads), 0, context, args, whole.moments,
             target.first_part);
    }
  }
}

// No part is used until a kernel says so: how many are depends on the choice of tile.
void clear_moments(DeviceContext& context, const GatherCall& call) {
  if (call.args.moments.rows == nullptr) return;
  memory_zero(context, call.args.moments.rows, static_cast<size_t>(call.parts) * sizeof(int32_t));
}

int rows_of(ConvTile tile) { return tile == ConvTile::m64n64 ? 64 : tile == ConvTile::m16n64 ? 16 : 128; }
int columns_of(ConvTile tile) { return tile == ConvTile::m128n128 ? 128 : tile == ConvTile::m128n16 ? 16 : 64; }

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

// Rows of an array that holds the maps; gaps between them count.
int64_t rows_of_input(std::span<const Conv2dMap> maps) {
  int64_t rows = 0;
  for (const Conv2dMap& map : maps) rows = std::max(rows, map.in_row + map.in_rows());
  return rows;
}
int64_t rows_of_output(std::span<const Conv2dMap> maps) {
  int64_t rows = 0;
  for (const Conv2dMap& map : maps) rows = std::max(rows, map.out_row + map.out_rows());
  return rows;
}

void launch_call(DeviceContext& context, GatherCall call, ConvMath math, const ConvChoice& choice) {
  clear_moments(context, call);
  const GatherArgs whole = call.args;
  GatherArgs& args = call.args;
  args.column_tiles = ceil_div(args.target_group, columns_of(choice.tile));
  args.splits = std::max(1, choice.splits);
  int64_t target_rows = 0;
  for (const GatherCall::Target& target : call.targets) {
    target_rows = std::max(target_rows, target.first_row + target.rows);
  }
  args.split_stride = args.splits > 1 ? target_rows * args.target_channels : 0;
  Scratch<float> partial(context, static_cast<size_t>(args.splits > 1 ? args.splits * args.split_stride : 0));
  if (args.splits > 1) {
    args.target = partial.data();
    args.scale = args.bias = args.residual = nullptr;
    args.relu = false;
    args.moments = {};
  }
  args.pair_stores =
      args.target_group % 2 == 0 && args.split_stride % 2 == 0 && reinterpret_cast<uintptr_t>(args.target) % 8 == 0;
  for (size_t begin = 0; begin < call.maps.size(); begin += kMapsPerLaunch) {
    args.map_count = static_cast<int32_t>(std::min<size_t>(kMapsPerLaunch, call.maps.size() - begin));
    int64_t tiles = 0;
    for (int32_t i = 0; i < args.map_count; ++i) {
      args.maps[i] = call.maps[begin + static_cast<size_t>(i)];
      args.maps[i].first_tile = to_int32(tiles);
      tiles += ceil_div(args.maps[i].rows, rows_of(choice.tile));
    }
    to_int32(tiles * args.groups * args.column_tiles);
    launch_in(math, context, args, choice.tile, call.chunks, tiles);
  }
  if (args.splits > 1) combine(context, call, whole, partial.data(), args.splits, args.split_stride);
}

// What a library left out.
void apply_epilogue(DeviceContext& context, const GatherCall& call) {
  const GatherArgs& args = call.args;
  if (args.scale == nullptr && args.bias == nullptr && args.residual == nullptr && !args.relu &&
      args.moments.rows == nullptr) {
    return;
  }
  clear_moments(context, call);
  combine(context, call, args, args.target, 1, 0);
}

// Seconds of run(choice) on a GPU; the emulator has no clock.
template <typename Device, typename Run>
std::function<double(const ConvChoice&)> stopwatch([[maybe_unused]] Device& context, [[maybe_unused]] const Run& run) {
  if constexpr (std::is_same_v<Device, CudaContext>) {
    return [&](const ConvChoice& choice) {
      try {
        return device_seconds(context, [&] { run(choice); });
      } catch (const LibraryRefused&) {
        return std::numeric_limits<double>::infinity();
      }
    };
  } else {
    return {};
  }
}

// own(choice) launches a call, library(source) has a library do it. Both write the same places whatever the choice, so
// measuring does no harm.
template <typename Own, typename Library>
void run_choice(DeviceContext& context, const ConvChoice* given, ConvWork work, const LibraryCall& offer,
                const Own& own, const Library& library) {
  const auto run = [&](const ConvChoice& choice) {
    if (choice.source == ConvSource::own) return own(choice);
    if (std::find(offer.offered.begin(), offer.offered.end(), choice.source) == offer.offered.end()) {
      throw LibraryRefused("conv2d: not a call for this library, or not in this build");
    }
    library(choice.source);
  };
  if (given != nullptr) return run(*given);
  ConvTuner* tuner = context.convolutions().tuner.get();
  work.libraries = offer.offered;
  run(tuner != nullptr ? tuner->choose(work, stopwatch(context, run)) : choose_conv(work));
}

void run_gather(DeviceContext& context, const GatherCall& call, ConvMath math, const LibraryCall& offer,
                const ConvChoice* given) {
  std::vector<int64_t> rows;
  int64_t depth = 0;
  for (const GatherMap& map : call.maps) {
    rows.push_back(map.rows);
    depth = std::max<int64_t>(depth, map.depth);
  }
  const int64_t taps = depth / std::max(1, call.args.source_group);
  run_choice(
      context, given, {ConvPass::gather, math, rows, call.args.target_group, call.args.groups, depth, taps}, offer,
      [&](const ConvChoice& choice) { launch_call(context, call, math, choice); },
      [&](ConvSource source) {
        offer.run(source);
        apply_epilogue(context, call);
      });
}

GatherCall forward_call(const Conv2dForwardArgs& args, ConvMath math, const void* x, const void* weight) {
  const Conv2dWindow& window = args.window;
  const int64_t group_in = stored_channels(math, window.group_in());
  GatherCall call;
  call.args = {.source = x,
               .weight = weight,
               .target = args.y,
               .scale = args.scale,
               .bias = args.bias,
               .residual = args.residual,
               .moments = args.moments,
               .source_channels = to_int32(window.groups * group_in),
               .target_channels = to_int32(window.out_channels),
               .source_group = to_int32(group_in),
               .target_group = to_int32(window.group_out()),
               .groups = to_int32(window.groups),
               .relu = args.relu};
  // Statistics are those of an image: then it is a map of its own.
  const bool by_image = args.moments.rows != nullptr;
  const MomentParts parts = moment_parts(args.maps);
  call.parts = parts.count();
  int64_t segment = 0;
  for (const Conv2dMap& map : args.maps) {
    to_int32(map.in_rows());
    const int32_t padding = to_int32(window.padding);
    const int64_t rows = by_image ? map.out_height * map.out_width : map.out_rows();
    for (int64_t image = 0; image < (by_image ? map.images : 1); ++image, ++segment) {
      const int64_t first_part = by_image ? parts.begin(segment) : 0, target_row = map.out_row + image * rows;
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
                           .first_part = to_int32(first_part)});
      call.targets.push_back({target_row, rows, first_part});
    }
  }
  call.chunks = in_16_bits(math) || aligned4(group_in, args.x, args.weight);
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

GatherCall backward_data_call(const Conv2dBackwardDataArgs& args, ConvMath math, const void* dy,
                              const TransposedWeights& weights) {
  const Conv2dWindow& window = args.window;
  const int64_t group_out = stored_channels(math, window.group_out()), stride = window.stride;
  GatherCall call;
  call.args = {.source = dy,
               .weight = weights.data(),
               .target = args.dx,
               .source_channels = to_int32(window.groups * group_out),
               .target_channels = to_int32(window.in_channels),
               .source_group = to_int32(group_out),
               .target_group = to_int32(window.group_in()),
               .groups = to_int32(window.groups)};
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
                             .depth = to_int32(int64_t{row.taps} * column.taps * group_out)});
      }
    }
    call.targets.push_back({map.in_row, map.in_rows(), 0});
  }
  call.chunks = in_16_bits(math) || aligned4(group_out, args.dy);
  return call;
}

void run_forward(DeviceContext& context, const Conv2dForwardArgs& args, const ConvChoice* given) {
  const Conv2dWindow& window = args.window;
  const ConvMath math = math_of_call(args.math, window.group_in());
  const ConvRows x(context, math, args.x, rows_of_input(args.maps), window.groups, window.group_in());
  const ConvRows weight(context, math, args.weight, window.out_channels * window.taps(), 1, window.group_in());
  const ConvOperands operands{
      .math = math, .x = x.data(), .weight = weight.data(), .x_group = stored_channels(math, window.group_in())};
  run_gather(context, forward_call(args, math, x.data(), weight.data()), math, library_forward(context, args, operands),
             given);
}

void run_backward_data(DeviceContext& context, const Conv2dBackwardDataArgs& args, const ConvChoice* given) {
  const Conv2dWindow& window = args.window;
  const ConvMath math = math_of_call(args.math, window.group_out());
  const ConvRows dy(context, math, args.dy, rows_of_output(args.maps), window.groups, window.group_out());
  const TransposedWeights weights(context, math, args.weight, args.scale, window);
  const ConvOperands operands{
      .math = math, .weight = weights.data(), .dy = dy.data(), .dy_group = stored_channels(math, window.group_out())};
  const auto with_weight = [&](const std::function<void(const void*)>& use) {
    const ConvRows weight(context, math, args.weight, window.out_channels * window.taps(), 1, window.group_in());
    use(weight.data());
  };
  run_gather(context, backward_data_call(args, math, dy.data(), weights), math,
             library_backward_data(context, args, operands, with_weight), given);
}

// One launch of the weight gradient: up to kMapsPerLaunch maps, its splits.
void add_launch(std::vector<WeightArgs>& launches, WeightArgs args, std::span<const Conv2dMap> maps, ConvMath math,
                int splits) {
  const int pixels = pixels_per_block(math);
  int64_t blocks = 0;
  args.map_count = static_cast<int32_t>(maps.size());
  for (size_t i = 0; i < maps.size(); ++i) {
    const Conv2dMap& map = maps[i];
    to_int32(map.in_rows());
    args.maps[i] = {map.in_row,
                    map.out_row,
                    to_int32(map.height),
                    to_int32(map.width),
                    to_int32(map.out_height),
                    to_int32(map.out_width),
                    to_int32(map.out_rows()),
                    to_int32(blocks)};
    blocks += ceil_div<int64_t>(map.out_rows(), pixels);
  }
  if (blocks == 0) return;
  args.blocks = to_int32(blocks);
  args.blocks_per_split = ceil_div(args.blocks, std::min(args.blocks, splits));
  args.splits = ceil_div(args.blocks, args.blocks_per_split);
  args.first_split = launches.empty() ? 0 : launches.back().first_split + launches.back().splits;
  launches.push_back(args);
}

// x, dy: rows in the elements of `math`.
void launch_weights(DeviceContext& context, const Conv2dBackwardWeightArgs& args, ConvMath math, const void* x,
                    const void* dy, const ConvChoice& choice) {
  const Conv2dWindow& window = args.window;
  const int64_t elements = window.weight_elements();
  const int64_t x_group = stored_channels(math, window.group_in());
  const int64_t dy_group = stored_channels(math, window.group_out()), columns = window.taps() * x_group;
  const WeightArgs whole{.x = x,
                         .dy = dy,
                         .group_in = to_int32(window.group_in()),
                         .group_out = to_int32(window.group_out()),
                         .groups = to_int32(window.groups),
                         .x_group = to_int32(x_group),
                         .dy_group = to_int32(dy_group),
                         .window_width = to_int32(window.width),
                         .stride = to_int32(window.stride),
                         .padding = to_int32(window.padding),
                         .columns = to_int32(columns),
                         .row_tiles = to_int32(ceil_div<int64_t>(window.group_out(), rows_of(choice.tile))),
                         .column_tiles = to_int32(ceil_div<int64_t>(columns, columns_of(choice.tile)))};
  to_int32(int64_t{whole.row_tiles} * whole.column_tiles * whole.groups);
  std::vector<WeightArgs> launches;
  for (size_t begin = 0; begin < args.maps.size(); begin += kMapsPerLaunch) {
    add_launch(launches, whole, args.maps.subspan(begin, std::min<size_t>(kMapsPerLaunch, args.maps.size() - begin)),
               math, std::max(1, choice.splits));
  }
  const int64_t splits = launches.empty() ? 0 : launches.back().first_split + launches.back().splits;
  const bool direct = splits == 1;
  Scratch<float> partial(context, static_cast<size_t>(direct ? 0 : splits * elements));
  const bool chunks = in_16_bits(math) || (aligned4(x_group, args.x) && aligned4(dy_group, args.dy));
  for (WeightArgs& launch_args : launches) {
    launch_args.dweight = direct ? args.dweight : partial.data();
    launch_args.split_stride = direct ? 0 : elements;
    if (direct) launch_args.scale = args.scale;
    launch_in(math, context, launch_args, choice.tile, chunks);
  }
  if (direct) return;
  launch(combine_splits, grid_for(elements, kThreads), kThreads, 0, context,
         CombineArgs{partial.data(), args.dweight, args.scale, nullptr, nullptr, elements, splits, 0, elements,
                     window.taps() * window.group_in(), window.out_channels, false});
}

void run_backward_weight(DeviceContext& context, const Conv2dBackwardWeightArgs& args, const ConvChoice* given) {
  const Conv2dWindow& window = args.window;
  if (window.weight_elements() == 0) return;
  const ConvMath math = math_of_call(args.math, window.group_in());
  const ConvRows x(context, math, args.x, rows_of_input(args.maps), window.groups, window.group_in());
  const ConvRows dy(context, math, args.dy, rows_of_output(args.maps), window.groups, window.group_out());
  int64_t pixels = 0;
  for (const Conv2dMap& map : args.maps) pixels += map.out_rows();
  const int64_t rows[] = {window.group_out()};
  const int64_t columns = window.taps() * stored_channels(math, window.group_in());
  const ConvOperands operands{.math = math,
                              .x = x.data(),
                              .dy = dy.data(),
                              .x_group = stored_channels(math, window.group_in()),
                              .dy_group = stored_channels(math, window.group_out())};
  const LibraryCall offer = library_backward_weight(context, args, operands);
  run_choice(
      context, given, {ConvPass::weight, math, rows, columns, window.groups, pixels, window.taps()}, offer,
      [&](const ConvChoice& choice) { launch_weights(context, args, math, x.data(), dy.data(), choice); },
      [&](ConvSource source) {
        offer.run(source);
        if (args.scale == nullptr) return;
        const int64_t elements = window.weight_elements();
        // Not on the emulator, which has no libraries.
        launch(combine_splits, grid_for(elements, kThreads), kThreads, 0, context,
               CombineArgs{args.dweight, args.dweight, args.scale, nullptr, nullptr, elements, 1, 0, elements,
                           window.taps() * window.group_in(), window.out_channels, false});
      });
}

}  // namespace

void conv2d_forward(DeviceContext& context, const Conv2dForwardArgs& args) { run_forward(context, args, nullptr); }
void conv2d_forward(DeviceContext& context, const Conv2dForwardArgs& args, const ConvChoice& choice) {
  run_forward(context, args, &choice);
}

void conv2d_backward_data(DeviceContext& context, const Conv2dBackwardDataArgs& args) {
  run_backward_data(context, args, nullptr);
}
void conv2d_backward_data(DeviceContext& context, const Conv2dBackwardDataArgs& args, const ConvChoice& choice) {
  run_backward_data(context, args, &choice);
}

void conv2d_backward_weight(DeviceContext& context, const Conv2dBackwardWeightArgs& args) {
  run_backward_weight(context, args, nullptr);
}
void conv2d_backward_weight(DeviceContext& context, const Conv2dBackwardWeightArgs& args, const ConvChoice& choice) {
  run_backward_weight(context, args, &choice);
}

}  // namespace tessera
