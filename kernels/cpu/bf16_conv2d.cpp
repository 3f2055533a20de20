#include "kernels/cpu/bf16_conv2d.h"

#include <algorithm>

#include "kernels/conv2d_choice.h"
#include "kernels/cpu/bf16_gather.h"
#include "kernels/cpu/conv2d_gathers.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/row_moments.h"

namespace tessera {

namespace {

// Several small groups that are neighbours make one of up to 32 channels, with zero weights between them: a product
// with zero costs less than a step that is mostly empty. Returns how many.
int64_t merge_groups(GatheredProduct& product) {
  const int64_t wide = std::max(product.source_channels, product.dest_channels);
  int64_t members = 1;
  while (2 * members * wide <= kBf16Depth && product.groups % (2 * members) == 0) members *= 2;
  product.groups /= members;
  product.source_channels *= members;
  product.dest_channels *= members;
  return members;
}

// Calls pack(group, tap, channel, dest, tile) for every tile: 32 source channels and 16 destination channels of a
// group, counted within it.
template <typename Pack>
void pack_tiles(CpuContext& context, const GatheredProduct& product, const Bf16Panels& panels, uint32_t* words,
                Pack&& pack) {
  for (const Bf16Panels::Set& set : panels.sets()) {
    const auto steps = static_cast<int64_t>(set.steps.size());
    const int64_t count = product.groups * panels.blocks() * steps;
    parallel_for(context, count, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t step = i % steps, block = i / steps % panels.blocks(), group = i / steps / panels.blocks();
        const auto [tap, channel] = set.steps[static_cast<size_t>(step)];
        const int64_t tiles = panels.tiles(block);
        uint32_t* to = words + panels.begin(set, group, block) + step * tiles * kBf16Tile;
        for (int64_t tile = 0; tile < tiles; ++tile) {
          pack(group, tap, channel, block * kBf16Block + tile * kBf16Side, to + tile * kBf16Tile);
        }
      }
    });
  }
}

// Statistics of the finished rows, in a pass of its own: the tiles of sums do not end where images do.
void leave_moments(CpuContext& context, const Conv2dForwardArgs& args) {
  constexpr int64_t kRows = 128;
  const MomentParts parts = moment_parts(args.maps);
  const int64_t channels = args.window.out_channels;
  int64_t segment = 0;
  for (const Conv2dMap& map : args.maps) {
    const int64_t cells = map.out_height * map.out_width;
    for (int64_t image = 0; image < map.images; ++image, ++segment) {
      const float* y = args.y + (map.out_row + image * cells) * channels;
      parallel_chunks(context, cells, kRows, [&](int64_t chunk, int64_t begin, int64_t end) {
        const int64_t part = parts.begin(segment) + chunk;
        float* mean = args.moments.values + part * 2 * channels;
        column_moments(y + begin * channels, end - begin, channels, channels, mean, mean + channels);
        args.moments.rows[part] = static_cast<int32_t>(end - begin);
      });
    }
  }
}

}  // namespace

bool bf16_applies(ConvMath math, int64_t channels) {
  return math == ConvMath::bf16 && math_of_call(math, channels) == math;
}

// OHWI weights, a row for each output: a tile is the transpose of 16 of them.
void bf16_conv2d_forward(CpuContext& context, const Conv2dForwardArgs& args, Bf16Path path) {
  const Conv2dWindow& window = args.window;
  GatheredProduct product = gather_of(args);
  const int64_t members = merge_groups(product), in = window.group_in(), out = window.group_out();
  const Bf16Panels panels(product);
  Scratch<uint32_t> weights(context, static_cast<size_t>(panels.words()));
  pack_tiles(context, product, panels, weights.data(),
             [&](int64_t group, int64_t tap, int64_t channel, int64_t dest, uint32_t* tile) {
               uint32_t rows[kBf16Side][kBf16Side] = {};
               for (int64_t d = 0; d < std::min(kBf16Side, product.dest_channels - dest); ++d) {
                 const int64_t member = (dest + d) / out, o = (group * members + member) * out + (dest + d) % out;
                 const float* weight = args.weight + (o * window.taps() + tap) * in - member * in;
                 const int64_t begin = std::max(channel, member * in);
                 const int64_t end = std::min(channel + kBf16Depth, (member + 1) * in);
                 Bf16 row[kBf16Depth] = {};
                 if (begin < end) round_to_bf16(weight + begin, end - begin, row + begin - channel);
                 std::memcpy(rows[d], row, sizeof row);
               }
               transpose_words(rows, tile, kBf16Side * sizeof(uint32_t));
             });
  run_bf16_gather(context, product, args.scale, panels, weights.data(), path);
  if (args.moments.rows != nullptr) leave_moments(context, args);
}

// Source channels are outputs, destination channels lie in a row: a tile is 16 pairs of rows.
void bf16_conv2d_backward_data(CpuContext& context, const Conv2dBackwardDataArgs& args, Bf16Path path) {
  const Conv2dWindow& window = args.window;
  std::vector<int64_t> window_taps;
  GatheredProduct product = gather_of(args, window_taps);
  const int64_t members = merge_groups(product), in = window.group_in(), out = window.group_out();
  const Bf16Panels panels(product);
  Scratch<uint32_t> weights(context, static_cast<size_t>(panels.words()));
  pack_tiles(context, product, panels, weights.data(),
             [&](int64_t group, int64_t tap, int64_t channel, int64_t dest, uint32_t* tile) {
               const int64_t at = window_taps[static_cast<size_t>(tap)];
               float rows[kBf16Depth][kBf16Side] = {};
               for (int64_t k = 0; k < std::min(kBf16Depth, product.source_channels - channel); ++k) {
                 const int64_t member = (channel + k) / out, o = (group * members + member) * out + (channel + k) % out;
                 const float* weight = args.weight + (o * window.taps() + at) * in - member * in;
                 const float factor = args.scale == nullptr ? 1.0f : args.scale[o];
                 const int64_t begin = std::max(dest, member * in);
                 const int64_t end = std::min(dest + kBf16Side, (member + 1) * in);
                 for (int64_t c = begin; c < end; ++c) rows[k][c - dest] = factor * weight[c];
               }
               for (int64_t pair = 0; pair < kBf16Side; ++pair) {
                 round_to_pairs(rows[2 * pair], rows[2 * pair + 1], tile + pair * kBf16Side);
               }
             });
  run_bf16_gather(context, product, nullptr, panels, weights.data(), path);
}

}  // namespace tessera
