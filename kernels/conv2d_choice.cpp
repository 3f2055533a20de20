#include "kernels/conv2d_choice.h"

#include <algorithm>
#include <utility>

#include "kernels/conv2d_prediction.h"

namespace tessera {

namespace {

// One tile in the model. Efficiency: the share of the multiply-add rate that its inner loop leaves, from the ratio of
// shared-memory reads to multiply-adds; an assumption until a card has been measured.
struct TileModel {
  ConvTile tile;
  int rows, columns, warps;
  double efficiency;
};
constexpr TileModel kGatherTiles[] = {{ConvTile::m128n128, 128, 128, 8, 0.90},
                                      {ConvTile::m128n64, 128, 64, 4, 0.85},
                                      {ConvTile::m64n64, 64, 64, 4, 0.70},
                                      {ConvTile::m128n16, 128, 16, 4, 0.40}};
constexpr TileModel kWeightTiles[] = {
    {ConvTile::m128n128, 128, 128, 8, 0.85}, {ConvTile::m64n64, 64, 64, 4, 0.70}, {ConvTile::m16n64, 16, 64, 2, 0.40}};

constexpr double kMultiprocessors = 84, kClock = 1.7e9;
constexpr double kBytesPerClock = 6.5;  // of device memory, per multiprocessor
constexpr double kBusyWarps = 8;        // hide the latency of the inner loop
constexpr double kStartSteps = 6;       // a block's first loads and its epilogue, in steps of the depth
constexpr double kSecondPassClocks = 4000;
constexpr int64_t kLeastSplitDepth = 128;
constexpr int kMostSplits = 64;

double products_per_clock(ConvMath math) {
  switch (math) {
    case ConvMath::fp32:
    case ConvMath::tf32:
      return 128;
    case ConvMath::fp16_accumulate_chunked:
      return 512;
    default:
      return 256;
  }
}

int64_t tiles_of(int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; }

// Clocks of a call under the model.
double model_clocks(const ConvWork& work, const TileModel& tile, int splits) {
  int64_t row_tiles = 0, rows = 0;
  for (const int64_t of_map : work.rows) {
    row_tiles += tiles_of(of_map, tile.rows);
    rows += of_map;
  }
  const int64_t blocks = row_tiles * tiles_of(work.columns, tile.columns) * work.groups * splits;
  const double per_multiprocessor = static_cast<double>(tiles_of(blocks, static_cast<int64_t>(kMultiprocessors)));
  const double step_depth = work.math == ConvMath::fp32 || work.math == ConvMath::tf32 ? 16 : 32;
  const double steps = static_cast<double>(work.depth) / step_depth / splits + kStartSteps;
  const double busy = std::min(1.0, per_multiprocessor * tile.warps / kBusyWarps);
  const double step_clocks = tile.rows * tile.columns * step_depth / (products_per_clock(work.math) * tile.efficiency);
  double clocks = per_multiprocessor * steps * step_clocks / std::max(busy, 1e-9);
  if (splits > 1) {
    const double outputs = static_cast<double>(rows * work.columns * work.groups);
    clocks += kSecondPassClocks + 2.0 * splits * outputs * sizeof(float) / (kBytesPerClock * kMultiprocessors);
  }
  return clocks;
}

// All choices, the fastest first.
std::vector<std::pair<double, ConvChoice>> ranked_choices(const ConvWork& work) {
  const std::span<const TileModel> tiles = work.pass == ConvPass::weight ? std::span<const TileModel>(kWeightTiles)
                                                                         : std::span<const TileModel>(kGatherTiles);
  std::vector<std::pair<double, ConvChoice>> all;
  for (const TileModel& tile : tiles) {
    for (int splits = 1; splits <= kMostSplits && (splits == 1 || work.depth / splits >= kLeastSplitDepth);
         splits *= 2) {
      all.push_back({model_clocks(work, tile, splits), {tile.tile, splits}});
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

}  // namespace

std::vector<ConvChoice> conv_candidates(const ConvWork& work, size_t most) {
  const auto all = ranked_choices(work);
  std::vector<ConvChoice> best;
  for (size_t i = 0; i < std::min(most, all.size()); ++i) best.push_back(all[i].second);
  return best;
}

ConvChoice choose_conv(const ConvWork& work) { return ranked_choices(work).front().second; }

ConvPrediction predict_conv(const ConvWork& work) {
  const auto [clocks, choice] = ranked_choices(work).front();
  int64_t rows = 0;
  for (const int64_t of_map : work.rows) rows += of_map;
  const double products = static_cast<double>(rows * work.columns * work.groups) * static_cast<double>(work.depth);
  return {choice, clocks / kClock, products / (products_per_clock(work.math) * kMultiprocessors * kClock)};
}

double predicted_copy_seconds(int64_t bytes) {
  return static_cast<double>(bytes) / (kBytesPerClock * kMultiprocessors * kClock);
}

}  // namespace tessera
