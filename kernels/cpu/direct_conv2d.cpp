#include "kernels/cpu/direct_conv2d.h"

#include <algorithm>

#include "kernels/cpu/gathered_product.h"
#include "kernels/cpu/parallel.h"

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

// OHWI weights, rows of one output: the block is their transpose.
void pack_forward(CpuContext& context, const GatheredProduct& product, const Conv2dForwardArgs& args, float* packed) {
  const int64_t depth = args.window.taps() * product.depth();
  pack_blocks(context, product, packed, [&](int64_t group, int64_t block, int64_t width, float* target) {
    for (int64_t lane = 0; lane < width; ++lane) {
      const int64_t channel = block * 2 * kLanes + lane, o = group * product.dest_channels + channel;
      const bool present = channel < product.dest_channels;
      const float factor = present && args.scale != nullptr ? args.scale[o] : 1.0f;
      const float* weight = args.weight + o * depth;
      for (int64_t k = 0; k < depth; ++k) target[k * width + lane] = present ? factor * weight[k] : 0.0f;
    }
  });
}

}  // namespace

void direct_conv2d_forward(CpuContext& context, const Conv2dForwardArgs& args) {
  const Conv2dWindow& window = args.window;
  GatheredProduct product{window.groups, window.group_in(), window.group_out(), {},       {}, args.x,
                          args.y,        args.bias,         args.residual,      args.relu};
  fill_registers(product);
  for (int64_t v = 0; v < window.height; ++v) {
    for (int64_t u = 0; u < window.width; ++u) product.taps.push_back({v - window.padding, u - window.padding});
  }
  // Statistics are those of an image: then it is a grid of its own.
  const bool by_image = args.moments.rows != nullptr;
  const MomentParts parts = moment_parts(args.maps);
  product.moments = args.moments;
  int64_t segment = 0;
  for (const Conv2dMap& map : args.maps) {
    for (int64_t image = 0; image < (by_image ? map.images : 1); ++image, ++segment) {
      const int64_t in_row = map.in_row + image * map.height * map.width;
      const int64_t out_row = map.out_row + image * map.out_height * map.out_width;
      product.grids.push_back({by_image ? 1 : map.images, map.out_height, map.out_width,  //
                               out_row, map.out_height, map.out_width, 0, 0, 1,           //
                               in_row, map.height, map.width, window.stride, 0, window.taps(),
                               by_image ? parts.begin(segment) : 0});
    }
  }
  Scratch<float> packed(context, static_cast<size_t>(product.packed_size()));
  pack_forward(context, product, args, packed.data());
  run_gathered_product(context, product, packed.data());
}

// Input cells fall into stride x stride phases; in each, the same taps of the window meet an output cell.
void direct_conv2d_backward_data(CpuContext& context, const Conv2dBackwardDataArgs& args) {
  const Conv2dWindow& window = args.window;
  GatheredProduct product{window.groups, window.group_out(), window.group_in(), {}, {}, args.dy, args.dx};
  fill_registers(product);
  std::vector<int64_t> window_tap;  // of each tap of the product
  for (int64_t y = 0; y < window.stride; ++y) {
    for (int64_t x = 0; x < window.stride; ++x) {
      const auto tap_begin = static_cast<int64_t>(product.taps.size());
      // From the last tap of the window to the first, so that neighbours follow each other in the map.
      for (int64_t v = window.height - 1; v >= 0; --v) {
        if ((y + window.padding - v) % window.stride != 0) continue;
        for (int64_t u = window.width - 1; u >= 0; --u) {
          if ((x + window.padding - u) % window.stride != 0) continue;
          product.taps.push_back({(y + window.padding - v) / window.stride, (x + window.padding - u) / window.stride});
          window_tap.push_back(v * window.width + u);
        }
      }
      const int64_t tap_count = static_cast<int64_t>(product.taps.size()) - tap_begin;
      for (const Conv2dMap& map : args.maps) {
        if (y >= map.height || x >= map.width) continue;
        product.grids.push_back({map.images, (map.height - y + window.stride - 1) / window.stride,
                                 (map.width - x + window.stride - 1) / window.stride,     //
                                 map.in_row, map.height, map.width, y, x, window.stride,  //
                                 map.out_row, map.out_height, map.out_width, 1, tap_begin, tap_count});
      }
    }
  }
  Scratch<float> packed(context, static_cast<size_t>(product.packed_size()));
  pack_blocks(context, product, packed.data(), [&](int64_t group, int64_t block, int64_t width, float* target) {
    if (product.lane_group > 0) {
      for (const int64_t tap : window_tap) {
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
    for (const int64_t tap : window_tap) {
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
