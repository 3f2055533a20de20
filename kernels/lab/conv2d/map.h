// What the versions of this folder share: the convolution of one map as a product of matrices, for every group
//     y[m][n] = act(scale * sum over k of A[m][k] B[n][k] + bias + residual)
// m: pixel of the output, n: channel of the group, k: (tap, channel of the input group). B are the weights as they lie;
// A is never stored, a[m][k] is found in x when it is asked for. A launch is one map. The versions are here to be read
// and tested, in order; kernels/cuda/conv2d*.cu are the ones that ship, docs/kernels/conv2d.md counts their work.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/cuda/port.h"

namespace tessera::conv2d_lab {
inline namespace TESSERA_PORT {

struct Map {
  const float *x, *weight, *scale, *bias, *residual;  // x, residual, y: the first row of the map
  float* y;
  int32_t in_channels, out_channels, groups, group_in, group_out;
  int32_t taps_width, stride, padding;
  int32_t height, width, out_height, out_width;
  int32_t rows, depth;  // extents of m and k
  bool relu;
};

// Calls run(map) for the maps of a call that have pixels.
template <typename Run>
void for_each_map(const Conv2dForwardArgs& args, Run&& run) {
  const Conv2dWindow& window = args.window;
  const auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
  for (const Conv2dMap& map : args.maps) {
    if (map.out_rows() == 0) continue;
    const int64_t out = map.out_row * window.out_channels;
    run(Map{.x = args.x + map.in_row * window.in_channels,
            .weight = args.weight,
            .scale = args.scale,
            .bias = args.bias,
            .residual = args.residual != nullptr ? args.residual + out : nullptr,
            .y = args.y + out,
            .in_channels = narrow(window.in_channels),
            .out_channels = narrow(window.out_channels),
            .groups = narrow(window.groups),
            .group_in = narrow(window.group_in()),
            .group_out = narrow(window.group_out()),
            .taps_width = narrow(window.width),
            .stride = narrow(window.stride),
            .padding = narrow(window.padding),
            .height = narrow(map.height),
            .width = narrow(map.width),
            .out_height = narrow(map.out_height),
            .out_width = narrow(map.out_width),
            .rows = narrow(map.out_rows()),
            .depth = narrow(window.taps() * window.group_in()),
            .relu = args.relu});
  }
}

// Blocks (row tile, column tile, group).
inline dim3 tile_grid(const Map& map, int tile_m, int tile_n) {
  return dim3(static_cast<unsigned>(ceil_div(map.rows, tile_m)), static_cast<unsigned>(ceil_div(map.group_out, tile_n)),
              static_cast<unsigned>(map.groups));
}

// Whether rows of channels and of weights may be read four floats at a time: then four neighbours of k are one tap.
inline bool in_vectors(const Map& map) { return aligned4(map.group_in, map.x, map.weight); }

// Where the window of output pixel m begins.
struct WindowPlace {
  int image, y, x;

  __device__ __forceinline__ WindowPlace(const Map& map, int m) {
    const int line = m / map.out_width;
    image = line / map.out_height;
    y = m < map.rows ? (line - image * map.out_height) * map.stride - map.padding : -(1 << 30);
    x = (m - line * map.out_width) * map.stride - map.padding;
  }
};

// Address of A[m][k], null where it is a zero: beside the map, beyond the rows or the depth.
__device__ __forceinline__ const float* source_at(const Map& map, const WindowPlace& window, int group, int k) {
  const int tap = k / map.group_in, c = k - tap * map.group_in;
  const int y = window.y + tap / map.taps_width, x = window.x + tap % map.taps_width;
  if (k >= map.depth || y < 0 || y >= map.height || x < 0 || x >= map.width) return nullptr;
  const int64_t cell = (int64_t{window.image} * map.height + y) * map.width + x;
  return map.x + cell * map.in_channels + group * map.group_in + c;
}

// Address of B[n][k], null beyond the group or the depth.
__device__ __forceinline__ const float* weight_at(const Map& map, int group, int n, int k) {
  if (n >= map.group_out || k >= map.depth) return nullptr;
  return map.weight + (int64_t{group} * map.group_out + n) * map.depth + k;
}

__device__ __forceinline__ float value_at(const float* address) { return address != nullptr ? *address : 0.0f; }

// Writes y[m][n] where the tile does not hang over.
__device__ __forceinline__ void store_sum(const Map& map, int group, int m, int n, float sum) {
  if (m >= map.rows || n >= map.group_out) return;
  const int channel = group * map.group_out + n;
  const int64_t at = int64_t{m} * map.out_channels + channel;
  float value = map.scale != nullptr ? sum * map.scale[channel] : sum;
  if (map.bias != nullptr) value += map.bias[channel];
  if (map.residual != nullptr) value += map.residual[at];
  map.y[at] = map.relu && value < 0.0f ? 0.0f : value;
}

// Four neighbours A[m][k ... k + 3] or B[n][k ... k + 3]; address(k) names one.
template <bool vectors, typename Address>
__device__ __forceinline__ float4 four_at(int k, Address&& address) {
  if constexpr (vectors) {
    const float* at = address(k);
    return at != nullptr ? load4(at) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  } else {
    return make_float4(value_at(address(k)), value_at(address(k + 1)), value_at(address(k + 2)),
                       value_at(address(k + 3)));
  }
}

}  // namespace TESSERA_PORT
}  // namespace tessera::conv2d_lab
