// The copies of conv2d_operands.h.
//   pack_channels      a thread per 8 stored channels, blockIdx.y = array: 4 bytes read, 2 written a value, limited by
//                      memory
//   transpose_weights  a block of 32 x 8 threads per 32 x 32 (o, c) of one tap and group, blockIdx.y = branch, through
//                      shared memory, so that it reads and writes along rows: 8 (6) bytes a weight
#include "kernels/cuda/conv2d_operands.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "kernels/cuda/tensor_core.h"

namespace tessera {
inline namespace TESSERA_PORT {

namespace {

constexpr int kPacked = 8, kThreads = 256, kTransposeTile = 32, kTransposeRows = 8;
constexpr int kArraysPerLaunch = 2 * kBranchesPerLaunch;
constexpr int64_t kAlignment = 16;  // of a branch's transposed weights, in bytes

struct PackedArray {
  const float* rows;
  void* packed;
  int channels, packs, count;  // packs: of 8 channels in a row; count: of packs
  bool fours;                  // rows may be read 16 bytes at a time
};
struct PackArgs {
  PackedArray arrays[kArraysPerLaunch];
};

template <typename Element>
__global__ void __launch_bounds__(kThreads) pack_channels(const PackArgs args) {
  const PackedArray& array = args.arrays[blockIdx.y];
  const int channels = array.channels, packs = array.packs;
  Element* packed = static_cast<Element*>(array.packed);
  for_each_element(array.count, [&](int64_t i) {
    const int index = static_cast<int>(i), row = index / packs, channel = (index - row * packs) * kPacked;
    const float* from = array.rows + int64_t{row} * channels + channel;
    float value[kPacked];
    if (array.fours && channel + kPacked <= channels) {
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

struct TransposeArgs {
  Conv2dWindow window;
  int64_t stored_out;
  const float* weight[kBranchesPerLaunch];
  const float* scale[kBranchesPerLaunch];  // or null
  void* transposed[kBranchesPerLaunch];
};

template <typename Element>
__global__ void __launch_bounds__(kTransposeTile* kTransposeRows) transpose_weights(const TransposeArgs args) {
  const Conv2dWindow& window = args.window;
  const int64_t stored_out = args.stored_out;
  const float *weight = args.weight[blockIdx.y], *scale = args.scale[blockIdx.y];
  Element* transposed = static_cast<Element*>(args.transposed[blockIdx.y]);
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

int64_t packs_of(const ChannelRows& array) { return array.count * ceil_div<int64_t>(array.channels, kPacked); }

template <typename Element>
void pack(DeviceContext& context, std::span<const PackedArray> arrays) {
  for (size_t begin = 0; begin < arrays.size(); begin += kArraysPerLaunch) {
    const auto some = arrays.subspan(begin, std::min<size_t>(kArraysPerLaunch, arrays.size() - begin));
    PackArgs args{};
    std::copy(some.begin(), some.end(), args.arrays);
    int most = 0;
    for (const PackedArray& array : some) most = std::max(most, array.count);
    launch(pack_channels<Element>, dim3(grid_for(most, kThreads), static_cast<unsigned>(some.size())), kThreads, 0,
           context, args);
  }
}

int64_t bytes_of_transposed(ConvMath math, const Conv2dWindow& window) {
  const int64_t values = window.taps() * window.in_channels * stored_channels(math, window.group_out());
  const int64_t bytes = values * (in_16_bits(math) ? 2 : int64_t{sizeof(float)});
  return ceil_div(bytes, kAlignment) * kAlignment;
}

template <typename Element>
void transpose(DeviceContext& context, TransposeArgs args, unsigned branches) {
  const int64_t blocks = ceil_div<int64_t>(args.window.group_in(), kTransposeTile) *
                         ceil_div<int64_t>(args.stored_out, kTransposeTile) * args.window.groups * args.window.taps();
  launch(transpose_weights<Element>, dim3(static_cast<unsigned>(to_int(blocks)), branches),
         dim3(kTransposeTile, kTransposeRows), 0, context, args);
}

// The first array that is the same as array i.
size_t first_like(std::span<const ChannelRows> arrays, size_t i) {
  return static_cast<size_t>(std::find(arrays.begin(), arrays.end(), arrays[i]) - arrays.begin());
}

size_t packs_of_different(ConvMath math, std::span<const ChannelRows> arrays) {
  int64_t packs = 0;
  for (size_t i = 0; i < arrays.size(); ++i) packs += first_like(arrays, i) == i ? packs_of(arrays[i]) : 0;
  return static_cast<size_t>(in_16_bits(math) ? packs : 0);
}

}  // namespace

StoredRows::StoredRows(DeviceContext& context, ConvMath math, std::span<const ChannelRows> arrays)
    : copies_(context, packs_of_different(math, arrays) * kPacked) {
  if (!in_16_bits(math)) {
    for (const ChannelRows& array : arrays) data_.push_back(array.rows);
    return;
  }
  std::vector<PackedArray> packed;
  uint16_t* next = copies_.data();
  for (size_t i = 0; i < arrays.size(); ++i) {
    if (const size_t first = first_like(arrays, i); first != i) {
      data_.push_back(data_[first]);
      continue;
    }
    const ChannelRows& array = arrays[i];
    const int64_t count = packs_of(array);
    packed.push_back({array.rows, next, to_int(array.channels), to_int(ceil_div<int64_t>(array.channels, kPacked)),
                      to_int(count), aligned4(array.channels, array.rows)});
    data_.push_back(next);
    next += count * kPacked;
  }
  if (math == ConvMath::bf16) {
    pack<bfloat16>(context, packed);
  } else {
    pack<half>(context, packed);
  }
}

TransposedWeights::TransposedWeights(DeviceContext& context, ConvMath math,
                                     const Conv2dBranches<Conv2dBackwardDataArgs>& branches)
    : bytes_(bytes_of_transposed(math, branches.front().window)),
      memory_(context, branches.size() * static_cast<size_t>(bytes_)) {
  const Conv2dWindow& window = branches.front().window;
  for (size_t begin = 0; begin < branches.size(); begin += kBranchesPerLaunch) {
    const size_t count = std::min<size_t>(kBranchesPerLaunch, branches.size() - begin);
    TransposeArgs args{window, stored_channels(math, window.group_out()), {}, {}, {}};
    for (size_t i = 0; i < count; ++i) {
      args.weight[i] = branches[begin + i].weight;
      args.scale[i] = branches[begin + i].scale;
      args.transposed[i] = memory_.data() + static_cast<int64_t>(begin + i) * bytes_;
    }
    if (math == ConvMath::bf16) {
      transpose<bfloat16>(context, args, static_cast<unsigned>(count));
    } else if (in_16_bits(math)) {
      transpose<half>(context, args, static_cast<unsigned>(count));
    } else {
      transpose<float>(context, args, static_cast<unsigned>(count));
    }
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera
