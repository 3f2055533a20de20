// Maps and weights as the product kernels read them. fp32 and tf32 read floats where they lie. The 16-bit precisions
// read copies in their type, made once per call (conv2d_operands.cu), each group's channels padded with zeros to a
// multiple of 8: then every fetch is a whole cp.async of 16 bytes, whatever the channels, and ldmatrix builds the
// fragments. Converting on the way to shared memory instead would fetch four bytes a value as often as a window has
// taps and a map column tiles (nine times and more for a 3x3), pass them through registers, and lose the deep ring.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

template <ConvMath math>
using ConvElement = std::conditional_t<math == ConvMath::fp32 || math == ConvMath::tf32, float,
                                       std::conditional_t<math == ConvMath::bf16, bfloat16, half>>;

constexpr bool in_16_bits(ConvMath math) { return math != ConvMath::fp32 && math != ConvMath::tf32; }

// Channels of a group as an operand holds them.
constexpr int64_t stored_channels(ConvMath math, int64_t channels) {
  return in_16_bits(math) ? (channels + 7) / 8 * 8 : channels;
}

// Rows [count, groups * stored_channels] of rows [count, groups * channels].
class ConvRows {
 public:
  ConvRows(DeviceContext& context, ConvMath math, const float* rows, int64_t count, int64_t groups, int64_t channels);
  const void* data() const { return data_; }

 private:
  Scratch<uint16_t> copy_;
  const void* data_;
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

// Weights of the data gradient: per phase of the stride a matrix [groups * group_in][tap of the phase, reversed]
// [stored_channels of group_out], times scale (of output channels, or null).
class TransposedWeights {
 public:
  TransposedWeights(DeviceContext& context, ConvMath math, const float* weight, const float* scale,
                    const Conv2dWindow& window);
  const void* data() const { return memory_.data(); }
  // First element of the matrix of a phase.
  static int64_t phase(const Conv2dWindow& window, ConvMath math, int64_t y, int64_t x) {
    return taps_before(window, y, x) * window.in_channels * stored_channels(math, window.group_out());
  }

 private:
  Scratch<char> memory_;
};

}  // namespace TESSERA_PORT
}  // namespace tessera
