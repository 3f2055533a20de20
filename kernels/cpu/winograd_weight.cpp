// Gradient of the weights by the transposed algorithm: dW = G^T [sum over tiles (A dY A^T) * (B^T X B)] G, for each of
// the 36 elements a matrix product whose depth is the tiles. Blocks of tiles follow each other; within a block all
// threads first transform tiles, then share the elements, so that the order of every sum depends on the shape alone.
#include <algorithm>

#include "kernels/cpu/vector.h"
#include "kernels/cpu/winograd_tiles.h"
#include "kernels/cpu/winograd_transforms.h"

namespace tessera {

namespace {

using namespace winograd;

constexpr int64_t kBlockTiles = 192;  // of a block; fewer read and write the sums of the elements more often
constexpr int64_t kChainTiles = 32;   // products added one by one; longer chains lose what the transforms amplify
constexpr int64_t kWide = 2 * kLanes;
constexpr int64_t kSkew = 16;  // floats between rows and elements, or they would fall into few sets of the cache

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Rows x two registers of products over tiles, added to `sums` [Rows][kWide] or stored there.
template <int Rows>
[[gnu::noinline]] void multiply_tiles(const float* dest, int64_t dest_step, const float* source, int64_t source_step,
                                      int64_t tiles, float* sums, bool add) {
  Vector total[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) total[r][v] = add ? load_vector(sums + r * kWide + v * kLanes) : Vector{};
  }
  for (int64_t begin = 0; begin < tiles; begin += kChainTiles) {
    Vector sum[Rows][2] = {};
    for (int64_t tile = begin; tile < std::min(begin + kChainTiles, tiles); ++tile) {
      const Vector b[2] = {load_vector(source), load_vector(source + kLanes)};
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) sum[r][v] += dest[r] * b[v];
      }
      source += source_step;
      dest += dest_step;
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) total[r][v] += sum[r][v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) store_vector(sums + r * kWide + v * kLanes, total[r][v]);
  }
}

class GradientSums {
 public:
  GradientSums(CpuContext& context, const WinogradGradient& gradient)
      : gradient_(gradient),
        tiles_(gradient.maps),
        block_tiles_(std::min(kBlockTiles, tiles_.count())),
        source_row_(round_up(gradient.source_channels, kWide) + kSkew),
        dest_row_(round_up(round_up(gradient.dest_channels, kTileRows), kLanes) + kSkew),
        source_element_(block_tiles_ * source_row_ + kSkew),
        dest_element_(block_tiles_ * dest_row_ + kSkew),
        panels_((gradient.source_channels + kWide - 1) / kWide),
        panel_size_(round_up(gradient.dest_channels, kTileRows) * kWide),
        zeros_(static_cast<size_t>(gradient.source_channels), 0.0f),
        source_(context, static_cast<size_t>(kElements * source_element_)),
        dest_(context, static_cast<size_t>(kElements * dest_element_)),
        sums_(context, static_cast<size_t>(kElements * element_sums())) {}

  int64_t blocks() const { return (tiles_.count() + block_tiles_ - 1) / block_tiles_; }
  int64_t block_tiles(int64_t block) const { return std::min(block_tiles_, tiles_.count() - block * block_tiles_); }
  int64_t products() const { return kElements * panels_; }

  void transform_tile(int64_t block, int64_t row) {
    const Tile tile = tiles_.at(block * block_tiles_ + row);
    const int64_t written = round_up(gradient_.source_channels, kLanes);
    float* source = source_.data() + row * source_row_;
    transform_source(tile, gradient_.source, gradient_.source_channels, gradient_.padding, zeros_.data(), source,
                     source_element_);
    float* dest = dest_.data() + row * dest_row_;
    for (int64_t element = 0; element < kElements; ++element) {
      float* row_of_element = source + element * source_element_;
      std::fill(row_of_element + written, row_of_element + source_row_ - kSkew, 0.0f);
    }
    for (int64_t channel = 0; channel < dest_row_ - kSkew; channel += kLanes) {
      const int64_t lanes = gradient_.dest_channels - channel;
      if (lanes >= kLanes) {
        spread_dest<true>(tile, channel, lanes, dest + channel);
      } else {
        spread_dest<false>(tile, channel, lanes, dest + channel);
      }
    }
  }

  // One element and panel of source channels against every destination channel.
  void multiply(int64_t block, int64_t product) {
    const int64_t element = product / panels_, panel = product % panels_, count = block_tiles(block);
    const float* source = source_.data() + element * source_element_ + panel * kWide;
    const float* dest = dest_.data() + element * dest_element_;
    float* sums = sums_.data() + element * element_sums() + panel * panel_size_;
    for (int64_t o = 0; o < gradient_.dest_channels; o += kTileRows) {
      __builtin_prefetch(sums + (o + kTileRows) * kWide, 1);
      multiply_tiles<kTileRows>(dest + o, dest_row_, source, source_row_, count, sums + o * kWide, block > 0);
    }
  }

  // dweight of one destination channel.
  void finish(int64_t o) const {
    const float scale = gradient_.scale == nullptr ? 1.0f : gradient_.scale[o];
    for (int64_t channel = 0; channel < gradient_.source_channels; channel += kLanes) {
      const float* sums = sums_.data() + channel / kWide * panel_size_ + o * kWide + channel % kWide;
      Vector rows[kTaps][kPoints];
      for (int u = 0; u < kPoints; ++u) {
        Vector column[kPoints], collected[kTaps];
        for (int v = 0; v < kPoints; ++v) column[v] = load_vector(sums + (v * kPoints + u) * element_sums());
        collect_weight(column, collected);
        for (int v = 0; v < kTaps; ++v) rows[v][u] = collected[v];
      }
      float* to = gradient_.dweight + o * kTaps * kTaps * gradient_.source_channels + channel;
      for (int v = 0; v < kTaps; ++v) {
        Vector taps[kTaps];
        collect_weight(rows[v], taps);
        for (int u = 0; u < kTaps; ++u, to += gradient_.source_channels) {
          store_lanes(to, scale * taps[u], gradient_.source_channels - channel);
        }
      }
    }
  }

 private:
  int64_t element_sums() const { return panels_ * panel_size_ + kSkew; }

  // A dY A^T of one register of channels, zero beyond the map and beyond the last channel.
  template <bool Full>
  void spread_dest(const Tile& tile, int64_t channel, int64_t lanes, float* to) const {
    const int64_t height = tile.height(), width = tile.width();
    const float* from = gradient_.dest_gradient + tile.dest_row() * gradient_.dest_channels + channel;
    Vector cells[kOutputs][kOutputs] = {};  // [x][y]
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const float* at = from + (y * tile.map->dest_width + x) * gradient_.dest_channels;
        cells[x][y] = Full ? load_vector(at) : load_lanes(at, lanes);
      }
    }
    Vector columns[kPoints][kOutputs];
#pragma GCC unroll 4
    for (int x = 0; x < kOutputs; ++x) {
      Vector m[kPoints];
      spread_output(cells[x], m);
#pragma GCC unroll 6
      for (int v = 0; v < kPoints; ++v) columns[v][x] = m[v];
    }
#pragma GCC unroll 6
    for (int v = 0; v < kPoints; ++v) {
      Vector m[kPoints];
      spread_output(columns[v], m);
#pragma GCC unroll 6
      for (int u = 0; u < kPoints; ++u) store_vector(to + (v * kPoints + u) * dest_element_, m[u]);
    }
  }

  const WinogradGradient& gradient_;
  const Tiles tiles_;
  const int64_t block_tiles_;
  const int64_t source_row_, dest_row_;          // between tiles
  const int64_t source_element_, dest_element_;  // between elements
  const int64_t panels_, panel_size_;            // of kWide source channels; of the sums of a panel
  const std::vector<float> zeros_;
  const Scratch<float> source_;  // [element][tile][source channel]
  const Scratch<float> dest_;    // [element][tile][destination channel]
  const Scratch<float> sums_;    // [element][panel][destination channel][kWide]
};

}  // namespace

// As for the product, fitted to times on one core. Sums over fewer tiles than that are so short in the direct kernel
// that the rounding of the transforms would exceed the bound of winograd.h.
bool winograd_pays(const WinogradGradient& gradient) {
  constexpr int64_t kLeastTiles = 64;
  int64_t tiles = 0, cells = 0;
  for (const WinogradMap& map : gradient.maps) {
    tiles += map.tiles();
    cells += map.images * map.dest_height * map.dest_width;
  }
  const auto in = static_cast<double>(gradient.source_channels), out = static_cast<double>(gradient.dest_channels);
  const double products = static_cast<double>(round_up(gradient.source_channels, kWide)) * out;
  const double direct = static_cast<double>(kTaps * kTaps * cells) * products;
  const double tile = kElements / 0.8 * (products + 30 * in + 30 * out);
  return tiles >= kLeastTiles && static_cast<double>(tiles) * tile + 600 * in * out < direct;
}

void run_winograd(CpuContext& context, const WinogradGradient& gradient) {
  if (std::ranges::all_of(gradient.maps, [](const WinogradMap& map) { return map.tiles() == 0; })) {
    std::fill_n(gradient.dweight, gradient.dest_channels * kTaps * kTaps * gradient.source_channels, 0.0f);
    return;
  }
  GradientSums sums(context, gradient);
  const int64_t blocks = sums.blocks(), products = sums.products();
#pragma omp parallel num_threads(context.threads()) if (context.threads() > 1)
  {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t tiles = sums.block_tiles(block);
#pragma omp for schedule(dynamic, 4)
      for (int64_t row = 0; row < tiles; ++row) sums.transform_tile(block, row);
#pragma omp for schedule(dynamic, 1)
      for (int64_t product = 0; product < products; ++product) sums.multiply(block, product);
    }
#pragma omp for schedule(static)
    for (int64_t o = 0; o < gradient.dest_channels; ++o) sums.finish(o);
  }
}

}  // namespace tessera
