#include "kernels/cpu/direct_conv2d.h"

#include <algorithm>

#include "kernels/cpu/conv2d_gathers.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace tessera {

namespace {

// Calls pack(group, block, width, target) for every block of packed weights, in parallel.
template <typename Pack>
void pack_blocks(CpuContext& context, const GatheredProduct& product, float* packed, Pack&& pack) {
  const int64_t units = product.groups * product.blocks();
  const int64_t unit_size = static_cast<int64_t>(product.taps.size()) * product.depth() * 2 * kLanes;
  parallel_for(context, units, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, unit_size)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t unit = begin; unit < end; ++unit) {
                   const int64_t group = unit / product.blocks(), block = unit % product.blocks();
                   pack(group, block, product.block_width(block), packed + product.block_begin(group, block));
                 }
               });
}

// Groups of 1, 2 or 4 channels would leave most lanes of a register empty: as many as fill one are taken together.
void fill_registers(GatheredProduct& product) {
  const int64_t size = product.source_channels;
  if (size != product.dest_channels || (size != 1 && size != 2 && size != 4)) return;
  if (product.groups * size % kLanes != 0) return;
  product.lane_group = size;
  product.groups = product.groups * size / kLanes;
  product.source_channels = product.dest_channels = kLanes;
}

// OHWI weights, rows of one output: the block is their transpose, a square of registers at a time.
void pack_forward(CpuContext& context, const GatheredProduct& product, const Conv2dForwardArgs& args, float* packed) {
  const int64_t depth = args.window.taps() * product.depth();
  pack_blocks(context, product, packed, [&](int64_t group, int64_t block, int64_t width, float* target) {
    for (int64_t first = 0; first < width; first += kLanes) {
      const int64_t channel = block * 2 * kLanes + first, o = group * product.dest_channels + channel;
      const int64_t present = std::clamp<int64_t>(product.dest_channels - channel, 0, kLanes);
      for (int64_t k = 0; k < depth; k += kLanes) {
        const int64_t columns = std::min<int64_t>(kLanes, depth - k);
        Vector square[kLanes] = {};
        for (int64_t lane = 0; lane < present; ++lane) {
          const float factor = args.scale == nullptr ? 1.0f : args.scale[o + lane];
          square[lane] = factor * load_lanes(args.weight + (o + lane) * depth + k, columns);
        }
        transpose(square);
        for (int64_t i = 0; i < columns; ++i) store_vector(target + (k + i) * width + first, square[i]);
      }
    }
  });
}

}  // namespace

void direct_conv2d_forward(CpuContext& context, const Conv2dForwardArgs& args) {
  GatheredProduct product = gather_of(args);
  fill_registers(product);
  Scratch<float> packed(context, static_cast<size_t>(product.packed_size()));
  pack_forward(context, product, args, packed.data());
  run_gathered_product(context, product, packed.data());
}

void direct_conv2d_backward_data(CpuContext& context, const Conv2dBackwardDataArgs& args) {
  const Conv2dWindow& window = args.window;
  std::vector<int64_t> window_taps;
  GatheredProduct product = gather_of(args, window_taps);
  fill_registers(product);
  Scratch<float> packed(context, static_cast<size_t>(product.packed_size()));
  pack_blocks(context, product, packed.data(), [&](int64_t group, int64_t block, int64_t width, float* target) {
    if (product.lane_group > 0) {
      for (const int64_t tap : window_taps) {
        for (int64_t k = 0; k < product.lane_group; ++k, target += width) {
          for (int64_t lane = 0; lane < width; ++lane) {
            const int64_t c = group * width + lane, o = c / product.lane_group * product.lane_group + k;
            const float* weight = args.weight + (o * window.taps() + tap) * product.lane_group;
            target[lane] = (args.scale == nullptr ? 1.0f : args.scale[o]) * weight[c % product.lane_group];
          }
        }
      }
      return;
    }
    const int64_t first = block * 2 * kLanes, present = std::min(width, product.dest_channels - first);
    for (const int64_t tap : window_taps) {
      for (int64_t o = group * window.group_out(); o < (group + 1) * window.group_out(); ++o, target += width) {
        const float factor = args.scale == nullptr ? 1.0f : args.scale[o];
        const float* weight = args.weight + (o * window.taps() + tap) * window.group_in() + first;
        for (int64_t lane = 0; lane < width; ++lane) target[lane] = lane < present ? factor * weight[lane] : 0.0f;
      }
    }
  });
  run_gathered_product(context, product, packed.data());
}

}  // namespace tessera
