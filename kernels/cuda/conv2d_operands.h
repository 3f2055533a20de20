// Maps and weights as the product kernels read them. fp32 and tf32 read floats where they lie. The 16-bit precisions
// read copies in their type, made once per call (conv2d_operands.cu), each group's channels padded with zeros to a
// multiple of 8: then every fetch is a whole cp.async of 16 bytes, whatever the channels, and ldmatrix builds the
// fragments. Converting on the way to shared memory instead would fetch four bytes a value as often as a window has
// taps and a map column tiles (nine times and more for a 3x3), pass them through registers, and lose the deep ring.
// The copies of all branches of a call are one launch.
#pragma once

#include <span>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

// Room in the tables of a launch; a call with more is several launches.
inline constexpr int kMapsPerLaunch = 32, kBranchesPerLaunch = 4;
inline constexpr size_t kMostArgumentBytes = 4096;  // of a kernel on compute capability 8.6

template <ConvMath math>
using ConvElement = std::conditional_t<math == ConvMath::fp32 || math == ConvMath::tf32, float,
                                       std::conditional_t<math == ConvMath::bf16, bfloat16, half>>;

constexpr bool in_16_bits(ConvMath math) { return math != ConvMath::fp32 && math != ConvMath::tf32; }

// Channels of a group as an operand holds them.
constexpr int64_t stored_channels(ConvMath math, int64_t channels) {
  return in_16_bits(math) ? (channels + 7) / 8 * 8 : channels;
}

// Rows of channels of one group; a row of several groups counts as several.
struct ChannelRows {
  const float* rows;  // [count, channels]
  int64_t count, channels;

  bool operator==(const ChannelRows&) const = default;
};

// Arrays of rows [count, stored_channels] of arrays of rows [count, channels]. One that is named twice is stored once.
class StoredRows {
 public:
  StoredRows(DeviceContext& context, ConvMath math, std::span<const ChannelRows> arrays);
  const void* operator[](size_t array) const { return data_[array]; }

 private:
  Scratch<uint16_t> copies_;
  std::vector<const void*> data_;
};

// Taps v of a window of `extent` with v mod stride < phase.
__host__ __device__ __forceinline__ int64_t taps_before_phase(int64_t extent, int64_t stride, int64_t phase) {
  const int64_t rest = extent % stride;
  return extent / stride * phase + (rest < phase ? rest : phase);
}
__host__ __device__ __forceinline__ int64_t taps_of_phase(int64_t extent, int64_t stride, int64_t phase) {
  return taps_before_phase(extent, stride, phase + 1) - taps_before_phase(extent, stride, phase);
}
// All taps of the phases before (y, x), row by row.
__host__ __device__ __forceinline__ int64_t taps_before(const Conv2dWindow& window, int64_t y, int64_t x) {
  return taps_before_phase(window.height, window.stride, y) * window.width +
         taps_of_phase(window.height, window.stride, y) * taps_before_phase(window.width, window.stride, x);
}

// Weights of the data gradient, of each branch: per phase of the stride a matrix [groups * group_in][tap of the phase,
// reversed][stored_channels of group_out], times scale (of output channels, or null).
class TransposedWeights {
 public:
  TransposedWeights(DeviceContext& context, ConvMath math, const Conv2dBranches<Conv2dBackwardDataArgs>& branches);
  const void* operator[](size_t branch) const { return memory_.data() + static_cast<int64_t>(branch) * bytes_; }
  // First element of the matrix of a phase.
  static int64_t phase(const Conv2dWindow& window, ConvMath math, int64_t y, int64_t x) {
    return taps_before(window, y, x) * window.in_channels * stored_channels(math, window.group_out());
  }

 private:
  int64_t bytes_;  // of a branch
  Scratch<char> memory_;
};

}  // namespace TESSERA_PORT
}  // namespace tessera
