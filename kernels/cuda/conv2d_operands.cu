// The copies of conv2d_operands.h.
//   pack_channels      a thread per 8 stored channels: 4 bytes read, 2 written a value, limited by memory
//   transpose_weights  a block of 32 x 8 threads per 32 x 32 (o, c) of one tap and group, through shared memory, so
//                      that it reads and writes along rows: 8 (6) bytes a weight
#include "kernels/cuda/conv2d_operands.h"

#include <limits>
#include <stdexcept>

#include "kernels/cuda/tensor_core.h"

namespace tessera {
inline namespace TESSERA_PORT {

namespace {

constexpr int kPacked = 8, kThreads = 256, kTransposeTile = 32, kTransposeRows = 8;

template <typename Element>
__global__ void __launch_bounds__(kThreads)
    pack_channels(const float* rows, int channels, int packs, bool fours, int count, Element* packed) {
  for_each_element(count, [&](int64_t i) {
    const int index = static_cast<int>(i), row = index / packs, channel = (index - row * packs) * kPacked;
    const float* from = rows + int64_t{row} * channels + channel;
    float value[kPacked];
    if (fours && channel + kPacked <= channels) {
      const float4 low = load4(from), high = load4(from + 4);
      value[0] = low.x, value[1] = low.y, value[2] = low.z, value[3] = low.w;
      value[4] = high.x, value[5] = high.y, value[6] = high.z, value[7] = high.w;
    } else {
#pragma unroll
      for (int c = 0; c < kPacked; ++c) value[c] = channel + c < channels ? from[c] : 0.0f;
    }
    const uint4 pack = make_uint4(pack2<Element>(value[0], value[1]), pack2<Element>(value[2], value[3]),
                                  pack2<Element>(value[4], value[5]), pack2<Element>(value[6], value[7]));
    *reinterpret_cast<uint4*>(packed + i * kPacked) = pack;
  });
}

template <typename Element>
__global__ void __launch_bounds__(kTransposeTile* kTransposeRows)
    transpose_weights(const float* weight, const float* scale, const Conv2dWindow window, int64_t stored_out,
                      Element* transposed) {
  SHARED(tile, float[kTransposeTile][kTransposeTile + 1]);
  const int64_t group_in = window.in_channels / window.groups, group_out = window.out_channels / window.groups;
  int64_t rest = blockIdx.x;
  const int64_t tiles_in = ceil_div<int64_t>(group_in, kTransposeTile), c0 = rest % tiles_in * kTransposeTile;
  rest /= tiles_in;
  const int64_t tiles_out = ceil_div<int64_t>(stored_out, kTransposeTile), o0 = rest % tiles_out * kTransposeTile;
  rest /= tiles_out;
  const int64_t group = rest % window.groups, tap = rest / window.groups;
  for (int64_t o = threadIdx.y; o < kTransposeTile && o0 + o < stored_out; o += kTransposeRows) {
    if (c0 + threadIdx.x >= group_in) break;
    const int64_t channel = group * group_out + o0 + o;
    float value = 0.0f;
    if (o0 + o < group_out) {
      value = weight[(channel * window.height * window.width + tap) * group_in + c0 + threadIdx.x];
      if (scale != nullptr) value *= scale[channel];
    }
    tile[o][threadIdx.x] = value;
  }
  __syncthreads();
  const int64_t v = tap / window.width, u = tap % window.width;
  const int64_t phase_y = v % window.stride, phase_x = u % window.stride;
  const int64_t height = taps_of_phase(window.height, window.stride, phase_y);
  const int64_t width = taps_of_phase(window.width, window.stride, phase_x);
  const int64_t reversed = (height - 1 - v / window.stride) * width + width - 1 - u / window.stride;
  Element* phase = transposed + taps_before(window, phase_y, phase_x) * window.in_channels * stored_out;
  for (int64_t c = threadIdx.y; c < kTransposeTile && c0 + c < group_in; c += kTransposeRows) {
    if (o0 + threadIdx.x >= stored_out) break;
    phase[((group * group_in + c0 + c) * height * width + reversed) * stored_out + o0 + threadIdx.x] =
        from_float<Element>(tile[threadIdx.x][c]);
  }
}

int to_int(int64_t value) {
  if (value > std::numeric_limits<int>::max()) throw std::length_error("conv2d: an operand of 2^34 values or more");
  return static_cast<int>(value);
}

template <typename Element>
void pack(DeviceContext& context, const float* rows, int64_t channels, int64_t count, void* packed) {
  const int64_t packs = ceil_div<int64_t>(channels, kPacked);
  launch(pack_channels<Element>, grid_for(count * packs, kThreads), kThreads, 0, context, rows, to_int(channels),
         to_int(packs), aligned4(channels, rows), to_int(count * packs), static_cast<Element*>(packed));
}

template <typename Element>
void transpose(DeviceContext& context, const float* weight, const float* scale, const Conv2dWindow& window,
               int64_t stored_out, void* transposed) {
  const int64_t blocks = ceil_div<int64_t>(window.group_in(), kTransposeTile) *
                         ceil_div<int64_t>(stored_out, kTransposeTile) * window.groups * window.taps();
  launch(transpose_weights<Element>, static_cast<unsigned>(to_int(blocks)), dim3(kTransposeTile, kTransposeRows), 0,
         context, weight, scale, window, stored_out, static_cast<Element*>(transposed));
}

}  // namespace

// The groups of a row are rows of their own.
ConvRows::ConvRows(DeviceContext& context, ConvMath math, const float* rows, int64_t count, int64_t groups,
                   int64_t channels)
    : copy_(context, static_cast<size_t>(in_16_bits(math) ? count * groups * stored_channels(math, channels) : 0)),
      data_(in_16_bits(math) ? static_cast<const void*>(copy_.data()) : rows) {
  if (math == ConvMath::bf16) {
    pack<bfloat16>(context, rows, channels, count * groups, copy_.data());
  } else if (in_16_bits(math)) {
    pack<half>(context, rows, channels, count * groups, copy_.data());
  }
}

TransposedWeights::TransposedWeights(DeviceContext& context, ConvMath math, const float* weight, const float* scale,
                                     const Conv2dWindow& window)
    : memory_(context,
              static_cast<size_t>(window.taps() * window.in_channels * stored_channels(math, window.group_out())) *
                  (in_16_bits(math) ? 2 : sizeof(float))) {
  const int64_t stored_out = stored_channels(math, window.group_out());
  if (math == ConvMath::bf16) {
    transpose<bfloat16>(context, weight, scale, window, stored_out, memory_.data());
  } else if (in_16_bits(math)) {
    transpose<half>(context, weight, scale, window, stored_out, memory_.data());
  } else {
    transpose<float>(context, weight, scale, window, stored_out, memory_.data());
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
