// The loop nest of gathered_product.h on operands rounded to bf16:
//   destination[cell][c] = epilogue(scale[c] * sum over taps t, channels k of source[neighbour of cell at t][k] *
//   weight)
// A strip of source rows is rounded into memory of the thread, with zeros for what lies outside the map, and for a step
// of s between source cells apart by phase (row mod s, column mod s). In a phase the neighbours of consecutive
// destination cells lie a constant distance apart, across the ends of rows too, whatever the tap: 16 of them are the
// rows of one tile, found by adding the place of the tap. The few cells that this puts behind the end of a row are
// computed and dropped.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/context.h"
#include "kernels/cpu/bf16_tiles.h"
#include "kernels/cpu/gathered_product.h"

namespace tessera {

// Order of the products, and where the weights lie: for each set of taps that grids share, group, block of 32
// destination channels: for each step [tiles of the block][16 pairs of channels][16 destination channels], missing ones
// zero.
class Bf16Panels {
 public:
  // 32 channels, from the given one on, of one tap of the product.
  struct Step {
    int64_t tap, channel;
  };
  struct Set {
    int64_t tap_begin, tap_count;
    int64_t begin;            // first word
    std::vector<Step> steps;  // taps of a row take turns with the channels, so that a cell is read from the first cache
  };

  explicit Bf16Panels(const GatheredProduct& product);

  const std::vector<Set>& sets() const { return sets_; }
  const Set& set_of(const GatherGrid& grid) const;
  int64_t blocks() const { return (dest_channels_ + kBf16Block - 1) / kBf16Block; }
  int tiles(int64_t block) const { return dest_channels_ - block * kBf16Block <= kBf16Side ? 1 : 2; }
  int64_t begin(const Set& set, int64_t group, int64_t block) const {
    const int64_t tiles = (dest_channels_ + kBf16Side - 1) / kBf16Side;
    return set.begin + (group * tiles + 2 * block) * static_cast<int64_t>(set.steps.size()) * kBf16Tile;
  }
  int64_t words() const { return words_; }

 private:
  std::vector<Set> sets_;
  int64_t dest_channels_, words_ = 0;
};

// product: lane_group 0. scale: [groups * dest_channels] or null. The same bits for any number of threads.
void run_bf16_gather(CpuContext& context, const GatheredProduct& product, const float* scale, const Bf16Panels& panels,
                     const uint32_t* weights, Bf16Path path);

}  // namespace tessera
