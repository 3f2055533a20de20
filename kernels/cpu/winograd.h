// 3x3 convolution with stride 1 in a quarter of the multiplications: F(4x4, 3x3) of winograd_transforms.h. Tiles of 4x4
// outputs are transformed a block at a time, each of the 36 transformed elements is a matrix product over channels, and
// the inverse transform ends in the epilogue of the direct convolution. No more than a block of any map is ever held.
//
// Rounding, as a multiple of that of the direct convolution (root mean square, and the largest of 9216 outputs),
// against sums in double precision, 64 | 256 | 512 channels, inputs max(0, normal), weights normal with variance 2 /
// fan-in:
//   points 0 +-1/sqrt2 +-sqrt2 inf, chains of 32 (used)       2.6, 2.2 | 2.6, 2.8 | 2.7, 2.7
//   the same, one chain over all channels                     3.2, 3.6 | 5.7, 7.2 | 7.7, 10
//   customary points 0 +-1 +-2 inf, one chain                 7.2, 19  | 12, 28   | 17, 55
//   F(2x2, 3x3), chains of 32                                 0.9, 0.8 | 0.9, 0.8 | 0.9, 0.8
//   F(6x6, 3x3), points 0 +-1/2 +-1 +-2 inf, chains of 32     11, 13   | 11, 20   | 11, 24
// The bound asked for was 4: F(4x4) holds it (tests/kernels/winograd_test.cpp), so training and inference both use it;
// F(6x6) does not, for at most 1.27 times fewer multiplications. The gradient of the weights, random dy: 2.6 to 3.4
// from 64 tiles on, up to 7 below (direct sums are short there), where the direct kernel is used.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/context.h"
#include "kernels/row_moments.h"

namespace tessera {

// One map; the destination is source extent + 2 padding - 2.
struct WinogradMap {
  int64_t images, source_height, source_width, source_row;
  int64_t dest_height, dest_width, dest_row;

  int64_t tiles_down() const { return (dest_height + 3) / 4; }
  int64_t tiles_across() const { return (dest_width + 3) / 4; }
  int64_t tiles() const { return images * tiles_down() * tiles_across(); }
};

struct WinogradProduct {
  int64_t source_channels, dest_channels, padding;
  std::vector<WinogradMap> maps;
  const float* source;  // [*, source_channels]
  float* dest;          // [*, dest_channels]
  const float* bias = nullptr;
  const float* residual = nullptr;  // like dest
  bool relu = false;
  RowMoments moments = {};  // of dest, a segment is an image of a map. The caller has cleared `rows`
};

// Weights as the caller has them: weight[dest * dest_step + tap * tap_step + source * source_step], tap 3 v + u; one of
// dest_step and source_step is 1. flipped: taps are read from the last to the first.
struct WinogradWeights {
  const float* weight;
  int64_t dest_step, tap_step, source_step;
  bool flipped;
  const float* dest_scale = nullptr;  // factors, or null
  const float* source_scale = nullptr;
};

// Whether this is expected to be faster than the direct product.
bool winograd_pays(const WinogradProduct& product);

// Sum over all maps of (transformed source) (transformed destination gradient) per tile, turned into the gradient of
// the weights: dweight [dest_channels, 3, 3, source_channels], multiplied by scale [dest_channels] unless null.
struct WinogradGradient {
  int64_t source_channels, dest_channels, padding;
  std::vector<WinogradMap> maps;
  const float* source;         // [*, source_channels]
  const float* dest_gradient;  // [*, dest_channels]
  const float* scale;
  float* dweight;  // overwritten
};

bool winograd_pays(const WinogradGradient& gradient);

// The same bits for any number of threads.
void run_winograd(CpuContext& context, const WinogradGradient& gradient);
void run_winograd(CpuContext& context, const WinogradProduct& product, const WinogradWeights& weights);

}  // namespace tessera
