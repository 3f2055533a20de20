#include "kernels/cpu/winograd.h"

#include <omp.h>

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/winograd_moments.h"
#include "kernels/cpu/winograd_tiles.h"
#include "kernels/cpu/winograd_transforms.h"

namespace tessera {

namespace {

using namespace winograd;

constexpr int64_t kBlockTiles = 48;      // tiles of a task: enough work for the weights, read once per block
constexpr int64_t kLeastTiles = 24;      // of a task, when there are few
constexpr int64_t kPanelDepth = 256;     // source channels of a panel: 16 KiB of weights
constexpr int64_t kChainDepth = 32;      // products added one by one; longer chains lose what the transforms amplify
constexpr int64_t kChunkChannels = 256;  // destination channels between two inverse transforms
constexpr int64_t kLine = 16;            // floats of a line of the cache
constexpr int64_t kSkew = kLine;         // floats between elements, or all 36 would fall into one set of the cache
constexpr int kNarrowRows = 8;           // rows of a register tile that is one register wide
constexpr int64_t kWide = 2 * kLanes;
static_assert(kLeastTiles % kTileRows == 0 && kLeastTiles % kNarrowRows == 0 && kBlockTiles % kLeastTiles == 0);
static_assert(kChunkChannels % kWide == 0);
static_assert(kLeastTiles % kRunTiles == 0);  // blocks divide no run

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Sizes of the operands of one call. Transformed weights: [element][block of two registers of destination channels]
// [source channel][width]; the last block is one register wide where that holds its channels.
struct Layout {
  int64_t source_channels, dest_channels;

  int64_t source_step() const { return round_up(source_channels, kLanes); }
  int64_t blocks() const { return (dest_channels + kWide - 1) / kWide; }
  int64_t block_width(int64_t block) const { return dest_channels - block * kWide <= kLanes ? kLanes : kWide; }
  int64_t weight_step() const { return round_up(dest_channels, kLanes) * source_channels + kSkew; }
  int64_t source_element(int64_t tiles) const { return tiles * source_step() + kSkew; }
  int64_t chunk() const { return std::min(kChunkChannels, blocks() * kWide); }
  int64_t dest_element(int64_t tiles) const { return tiles * chunk() + kSkew; }
  int64_t scratch(int64_t tiles) const { return kElements * (source_element(tiles) + dest_element(tiles)); }
};

// Rows x Registers sums of `depth` products; `to` receives them or is added to. Chains run in registers, their totals
// lie beside them in the nearest cache.
template <int Rows, int Registers>
[[gnu::noinline]] void multiply_rows(const float* rows, int64_t row_step, int64_t depth, const float* panel, float* to,
                                     int64_t to_step, bool add) {
  const float* a[Rows];
  Vector total[Rows][Registers];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    a[r] = rows + r * row_step;
#pragma GCC unroll 2
    for (int v = 0; v < Registers; ++v) total[r][v] = add ? load_vector(to + r * to_step + v * kLanes) : Vector{};
  }
  for (int64_t begin = 0; begin < depth; begin += kChainDepth) {
    Vector sum[Rows][Registers] = {};
    const int64_t end = std::min(begin + kChainDepth, depth);
    for (int64_t k = begin; k < end; ++k) {
      Vector b[Registers];
#pragma GCC unroll 2
      for (int v = 0; v < Registers; ++v) b[v] = load_vector(panel + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < Registers; ++v) sum[r][v] += a[r][k] * b[v];
      }
      panel += Registers * kLanes;
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < Registers; ++v) total[r][v] += sum[r][v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Registers; ++v) store_vector(to + r * to_step + v * kLanes, total[r][v]);
  }
}

// One block of tiles: transforms in, products, transform out.
class TileBlock {
 public:
  TileBlock(const WinogradProduct& product, const Layout& layout, const Tiles& tiles, int64_t most, const float* zeros,
            float* scratch)
      : product_(product),
        layout_(layout),
        tiles_(tiles),
        zeros_(zeros),
        source_step_(layout.source_element(most)),
        dest_step_(layout.dest_element(most)),
        source_(scratch),
        sums_(scratch + kElements * source_step_),
        moments_(product.moments, product.maps, product.dest_channels) {}

  // Destination channels [channel_begin, channel_end), multiples of kWide or the last.
  void run(int64_t begin, int64_t count, int64_t channel_begin, int64_t channel_end, const float* weights) {
    count_ = count;
    for (int64_t i = 0; i < count; ++i) {
      transform_source(tiles_.at(begin + i), product_.source, product_.source_channels, product_.padding, zeros_,
                       source_ + i * layout_.source_step(), source_step_);
    }
    pad_rows();
    for (int64_t first = channel_begin; first < channel_end; first += layout_.chunk()) {
      const int64_t last = std::min(channel_end, first + layout_.chunk());
      for (int64_t element = 0; element < kElements; ++element) multiply(element, first, last, weights);
      store_tiles(begin, first, last - first);
    }
  }

 private:
  // Register tiles read whole rows of tiles: those past the last tile are zero.
  void pad_rows() {
    const int64_t step = layout_.source_step();
    const int64_t end = std::max(round_up(count_, kTileRows), round_up(count_, kNarrowRows));
    for (int64_t element = 0; element < kElements; ++element) {
      float* rows = source_ + element * source_step_;
      std::fill(rows + count_ * step, rows + end * step, 0.0f);
    }
  }

  void multiply(int64_t element, int64_t first, int64_t last, const float* weights) {
    const float* source = source_ + element * source_step_;
    float* sums = sums_ + element * dest_step_;
    for (int64_t channel = 0; channel < product_.source_channels; channel += kPanelDepth) {
      const int64_t depth = std::min(kPanelDepth, product_.source_channels - channel);
      for (int64_t at = first; at < last; at += kWide) {
        const int64_t width = layout_.block_width(at / kWide);
        const float* panel =
            weights + element * layout_.weight_step() + at * product_.source_channels + channel * width;
        const int64_t rows = width == kLanes ? kNarrowRows : kTileRows;
        const auto product = width == kLanes ? multiply_rows<kNarrowRows, 1> : multiply_rows<kTileRows, 2>;
        const float* next = panel + depth * width;  // most often the next panel
        const int64_t share = (depth * width / kLine * rows + count_ - 1) / count_ * kLine;
        for (int64_t row = 0; row < count_; row += rows) {
          for (int64_t i = 0; i < share; i += kLine) __builtin_prefetch(next + i);
          next += share;
          product(source + row * layout_.source_step() + channel, layout_.source_step(), depth, panel,
                  sums + row * layout_.chunk() + at - first, layout_.chunk(), channel > 0);
        }
      }
    }
  }

  void store_tiles(int64_t begin, int64_t first, int64_t channels) {
    const bool moments = product_.moments.rows != nullptr;
    if (!moments) {
      for (int64_t i = 0; i < count_; ++i) store_tile<false>(tiles_.at(begin + i), i, first, channels);
      return;
    }
    moments_.begin_channels(first, channels);
    for (int64_t i = 0; i < count_; ++i) {
      const Tile tile = tiles_.at(begin + i);
      moments_.begin_tile(begin + i, tile);
      store_tile<true>(tile, i, first, channels);
      moments_.end_tile();
    }
    moments_.end_part();
  }

  template <bool moments>
  void store_tile(const Tile& tile, int64_t row, int64_t first, int64_t channels) {
    const float* sums = sums_ + row * layout_.chunk();
    for (int64_t channel = 0; channel < channels; channel += kLanes) {
      float* to = product_.dest + tile.dest_row() * product_.dest_channels + first + channel;
      for_each_cell(tile, [&](int64_t, int64_t, int64_t offset) { __builtin_prefetch(to + offset + kLine, 1); });
      Vector cells[kOutputs][kOutputs];
      invert(sums + channel, cells);
      if (channels - channel >= kLanes) {
        store_cells<true, moments>(tile, cells, to, first + channel, kLanes);
      } else {
        store_cells<false, moments>(tile, cells, to, first + channel, channels - channel);
      }
      if (moments) moments_.add(channel, cells, tile.height(), tile.width());
    }
  }

  // Calls visit(y, x, floats from the first cell).
  template <typename Visit>
  [[gnu::always_inline]] void for_each_cell(const Tile& tile, Visit&& visit) const {
    const int64_t height = tile.height(), width = tile.width();
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) visit(y, x, (y * tile.map->dest_width + x) * product_.dest_channels);
    }
  }

  [[gnu::always_inline]] void invert(const float* sums, Vector (&cells)[kOutputs][kOutputs]) const {
    Vector columns[kPoints][kOutputs];  // [u][y]
#pragma GCC unroll 6
    for (int u = 0; u < kPoints; ++u) {
      Vector m[kPoints];
#pragma GCC unroll 6
      for (int v = 0; v < kPoints; ++v) m[v] = load_vector(sums + (v * kPoints + u) * dest_step_);
      transform_output(m, columns[u]);
    }
#pragma GCC unroll 4
    for (int y = 0; y < kOutputs; ++y) {
      Vector m[kPoints];
#pragma GCC unroll 6
      for (int u = 0; u < kPoints; ++u) m[u] = columns[u][y];
      transform_output(m, cells[y]);
    }
  }

  // Keep: the finished values replace the cells.
  template <bool Full, bool Keep>
  [[gnu::always_inline]] void store_cells(const Tile& tile, Vector (&cells)[kOutputs][kOutputs], float* to,
                                          int64_t channel, int64_t lanes) const {
    const auto load = [&](const float* from) { return Full ? load_vector(from) : load_lanes(from, lanes); };
    const Vector bias = product_.bias == nullptr ? Vector{} : load(product_.bias + channel);
    for_each_cell(tile, [&](int64_t y, int64_t x, int64_t offset) {
      float* at = to + offset;
      Vector value = cells[y][x] + bias;
      if (product_.residual != nullptr) value += load(product_.residual + (at - product_.dest));
      if (product_.relu) value = value < 0.0f ? Vector{} : value;  // keeps NaN
      if (Keep) cells[y][x] = value;
      if (Full) {
        store_vector(at, value);
      } else {
        store_lanes(at, value, lanes);
      }
    });
  }

  const WinogradProduct& product_;
  const Layout& layout_;
  const Tiles& tiles_;
  const float* zeros_;
  const int64_t source_step_, dest_step_;  // between elements
  float* source_;                          // [element][tile][source channel]
  float* sums_;                            // [element][tile][channel of the chunk]
  TileMoments<kChunkChannels> moments_;
  int64_t count_ = 0;
};

// taps [9][depth][width] of some destination and source channels, lanes over destinations, absent ones zero.
void gather_taps(const WinogradWeights& weights, int64_t dest, int64_t present, int64_t width, int64_t source,
                 int64_t depth, float* taps) {
  for (int64_t tap = 0; tap < kTaps * kTaps; ++tap) {
    const float* from = weights.weight + dest * weights.dest_step + source * weights.source_step +
                        (weights.flipped ? kTaps * kTaps - 1 - tap : tap) * weights.tap_step;
    float* to = taps + tap * depth * width;
    if (present < width) std::fill_n(to, depth * width, 0.0f);
    if (weights.dest_step == 1) {
      for (int64_t k = 0; k < depth; ++k) {
        for (int64_t lane = 0; lane < present; ++lane) to[k * width + lane] = from[k * weights.source_step + lane];
      }
    } else {
      for (int64_t lane = 0; lane < present; ++lane) {
        for (int64_t k = 0; k < depth; ++k)
          to[k * width + lane] = from[lane * weights.dest_step + k * weights.source_step];
      }
    }
  }
}

// One register of destination channels at one source channel; elements lie `step` floats apart.
[[gnu::always_inline]] inline void transform_taps(const float* taps, int64_t tap_step, Vector factor, float* to,
                                                  int64_t step) {
  Vector columns[kTaps][kPoints];
#pragma GCC unroll 3
  for (int u = 0; u < kTaps; ++u) {
    Vector g[kTaps];
#pragma GCC unroll 3
    for (int v = 0; v < kTaps; ++v) g[v] = load_vector(taps + (v * kTaps + u) * tap_step) * factor;
    transform_weight(g, columns[u]);
  }
#pragma GCC unroll 6
  for (int v = 0; v < kPoints; ++v) {
    Vector g[kTaps], t[kPoints];
#pragma GCC unroll 3
    for (int u = 0; u < kTaps; ++u) g[u] = columns[u][v];
    transform_weight(g, t);
#pragma GCC unroll 6
    for (int u = 0; u < kPoints; ++u) store_vector(to + (v * kPoints + u) * step, t[u]);
  }
}

void transform_weights(CpuContext& context, const Layout& layout, const WinogradWeights& weights, float* transformed) {
  constexpr int64_t kDepth = 16;  // source channels gathered at a time
  const int64_t depths = (layout.source_channels + kDepth - 1) / kDepth;
  parallel_for(context, layout.blocks() * depths, 4, [&](int64_t begin, int64_t end) {
    float taps[kTaps * kTaps * kDepth * kWide];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t block = unit / depths, source = unit % depths * kDepth, dest = block * kWide;
      const int64_t width = layout.block_width(block), present = std::min(width, layout.dest_channels - dest);
      const int64_t depth = std::min(kDepth, layout.source_channels - source);
      gather_taps(weights, dest, present, width, source, depth, taps);
      float* to = transformed + dest * layout.source_channels + source * width;
      for (int64_t lane = 0; lane < width; lane += kLanes) {
        Vector dest_factor = Vector{} + 1.0f;
        if (weights.dest_scale != nullptr) dest_factor = load_lanes(weights.dest_scale + dest + lane, present - lane);
        for (int64_t k = 0; k < depth; ++k) {
          const Vector factor =
              weights.source_scale == nullptr ? dest_factor : dest_factor * weights.source_scale[source + k];
          transform_taps(taps + k * width + lane, depth * width, factor, to + k * width + lane, layout.weight_step());
        }
      }
    }
  });
}

}  // namespace

// Both costs in multiply-adds of the register kernels, fitted to times on one core: both fill whole registers of
// destinations, the elements' products run at 0.87 of the direct kernel's speed, transforms of tiles cost as much as
// 21 and 14 products a channel, those of the weights 600. It knows nothing of threads: results may not depend on them.
bool winograd_pays(const WinogradProduct& product) {
  int64_t tiles = 0, cells = 0;
  for (const WinogradMap& map : product.maps) {
    tiles += map.tiles();
    cells += map.images * map.dest_height * map.dest_width;
  }
  const auto in = static_cast<double>(product.source_channels), out = static_cast<double>(product.dest_channels);
  const double products = in * static_cast<double>(round_up(product.dest_channels, kWide));
  const double direct = static_cast<double>(kTaps * kTaps * cells) * products;
  const double tile = kElements / 0.87 * (products + 21 * in + 14 * out);
  return product.source_channels >= 8 && static_cast<double>(tiles) * tile + 600 * in * out < direct;
}

void run_winograd(CpuContext& context, const WinogradProduct& product, const WinogradWeights& weights) {
  const Layout layout{product.source_channels, product.dest_channels};
  const Tiles tiles(product.maps);
  if (tiles.count() == 0) return;
  // Sums do not depend on the division into blocks.
  const int64_t block_tiles =
      std::clamp(round_up(tiles.count() / (2 * context.threads()), kLeastTiles), kLeastTiles, kBlockTiles);
  const int64_t blocks = (tiles.count() + block_tiles - 1) / block_tiles;
  // Few tiles are also divided by destination channels; every part transforms the source again.
  const int64_t parts = std::clamp<int64_t>(context.threads() / blocks, 1, layout.blocks());
  const int threads = static_cast<int>(std::min<int64_t>(context.threads(), blocks * parts));
  Scratch<float> transformed(context, static_cast<size_t>(kElements * layout.weight_step()));
  transform_weights(context, layout, weights, transformed.data());
  const int64_t scratch_step = round_up(layout.scratch(block_tiles), kLine);
  Scratch<float> scratch(context, static_cast<size_t>(threads * scratch_step));
  const std::vector<float> zeros(static_cast<size_t>(product.source_channels), 0.0f);
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    TileBlock block(product, layout, tiles, block_tiles, zeros.data(),
                    scratch.data() + omp_get_thread_num() * scratch_step);
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < blocks * parts; ++i) {
      const int64_t begin = i / parts * block_tiles, part = i % parts;
      block.run(begin, std::min(block_tiles, tiles.count() - begin), layout.blocks() * part / parts * kWide,
                std::min(product.dest_channels, layout.blocks() * (part + 1) / parts * kWide), transformed.data());
    }
  }
}

}  // namespace tessera
