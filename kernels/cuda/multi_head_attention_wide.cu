// The kernels of attention_wide.h. Lane l has the channels l, l + 32, ... of a row, the sums of a slice in registers; a
// dot product is met by the warp in five shuffles.
#include <limits>
#include <stdexcept>

#include "kernels/cuda/attention_wide.h"
#include "kernels/cuda/warp.h"

namespace tessera {
inline namespace TESSERA_PORT {

namespace {

constexpr int kThreads = 128, kPerLane = 4, kSlice = 32 * kPerLane;

// What a warp owns: blockIdx.x and the warp name the row (sequence, head, index), blockIdx.y the slice.
struct WideRow {
  int64_t width, stride, heads, head_row;  // head_row: of [N, heads]
  int64_t index, own;                      // of the row in its sequence; its first float
  int64_t other;                           // first float of the other side's row 0
  float scale;
  bool valid;

  __device__ __forceinline__ WideRow(const MultiHeadAttentionShape& shape, int64_t own_rows, int64_t other_rows)
      : width(shape.channels / shape.heads), stride(shape.channels), heads(shape.heads) {
    const int64_t at = int64_t{blockIdx.x} * (kThreads / 32) + warp_of_block();
    head_row = at / own_rows;
    index = at - head_row * own_rows;
    valid = head_row < shape.sequences * heads;
    const int64_t sequence = head_row / heads, head = head_row - sequence * heads;
    own = (sequence * own_rows + index) * stride + head * width;
    other = sequence * other_rows * stride + head * width;
    scale = 1.0f / sqrtf(static_cast<float>(width));
  }

  __device__ __forceinline__ float dot(const float* a, const float* b) const {
    float sum = 0.0f;
    for (int64_t c = lane_of_warp(); c < width; c += 32) sum += a[c] * b[c];
    return warp_sum(sum);
  }
  __device__ __forceinline__ int64_t channel(int i) const {
    return int64_t{blockIdx.y} * kSlice + 32 * i + lane_of_warp();
  }
  __device__ __forceinline__ void add(float (&sums)[kPerLane], float factor, const float* row) const {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (channel(i) < width) sums[i] += factor * row[channel(i)];
    }
  }
  __device__ __forceinline__ void store(const float (&sums)[kPerLane], float factor, float* results) const {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (channel(i) < width) results[own + channel(i)] = factor * sums[i];
    }
  }
};

__global__ void __launch_bounds__(kThreads) attend_wide_kernel(MultiHeadAttentionForwardArgs args) {
  const WideRow row(args.shape, args.shape.queries, args.shape.keys);
  if (!row.valid) return;
  float sums[kPerLane] = {}, largest = -__uint_as_float(0x7f800000u), total = 0.0f;
  for (int64_t j = 0; j < args.shape.keys; ++j) {
    const int64_t other = row.other + j * row.stride;
    const float score = row.dot(args.query + row.own, args.key + other);
    const float next = score > largest ? score : largest;
    const float shrink = expf(row.scale * (largest - next)), p = expf(row.scale * (score - next));
    largest = next;
    total = total * shrink + p;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) sums[i] *= shrink;
    row.add(sums, p, args.value + other);
  }
  row.store(sums, 1.0f / total, args.y);
  if (args.log_sum == nullptr || blockIdx.y != 0 || lane_of_warp() != 0) return;
  args.log_sum[row.head_row * args.shape.queries + row.index] = row.scale * largest + logf(total);
}

__global__ void __launch_bounds__(kThreads)
    query_gradient_wide(MultiHeadAttentionBackwardArgs args, const float* row_products) {
  const WideRow row(args.shape, args.shape.queries, args.shape.keys);
  if (!row.valid) return;
  const int64_t statistics = row.head_row * args.shape.queries + row.index;
  const float log_sum = args.log_sum[statistics], product = row_products[statistics];
  float sums[kPerLane] = {};
  for (int64_t j = 0; j < args.shape.keys; ++j) {
    const int64_t other = row.other + j * row.stride;
    const float p = expf(row.scale * row.dot(args.query + row.own, args.key + other) - log_sum);
    row.add(sums, p * (row.dot(args.dy + row.own, args.value + other) - product), args.key + other);
  }
  row.store(sums, row.scale, args.dquery);
}

__global__ void __launch_bounds__(kThreads)
    key_gradient_wide(MultiHeadAttentionBackwardArgs args, const float* row_products) {
  const WideRow row(args.shape, args.shape.keys, args.shape.queries);
  if (!row.valid) return;
  const int64_t statistics = row.head_row * args.shape.queries;
  float dkey[kPerLane] = {}, dvalue[kPerLane] = {};
  for (int64_t i = 0; i < args.shape.queries; ++i) {
    const int64_t other = row.other + i * row.stride;
    const float p = expf(row.scale * row.dot(args.key + row.own, args.query + other) - args.log_sum[statistics + i]);
    const float dp = row.dot(args.value + row.own, args.dy + other);
    row.add(dvalue, p, args.dy + other);
    row.add(dkey, p * (dp - row_products[statistics + i]), args.query + other);
  }
  if (args.dkey != nullptr) row.store(dkey, row.scale, args.dkey);
  if (args.dvalue != nullptr) row.store(dvalue, 1.0f, args.dvalue);
}

dim3 grid_of(const MultiHeadAttentionShape& shape, int64_t rows) {
  const int64_t blocks = ceil_div<int64_t>(shape.sequences * shape.heads * rows, kThreads / 32);
  const int64_t slices = ceil_div<int64_t>(shape.width(), kSlice);
  if (blocks > std::numeric_limits<int>::max() || slices > 65535) {
    throw std::length_error("multi_head_attention: more rows or channels than a grid has blocks");
  }
  return {static_cast<unsigned>(blocks), static_cast<unsigned>(slices)};
}

}  // namespace

void attend_wide(DeviceContext& context, const MultiHeadAttentionForwardArgs& args) {
  launch(attend_wide_kernel, grid_of(args.shape, args.shape.queries), kThreads, 0, context, args);
}

void attention_gradients_wide(DeviceContext& context, const MultiHeadAttentionBackwardArgs& args,
                              const float* row_products) {
  if (args.dquery != nullptr) {
    launch(query_gradient_wide, grid_of(args.shape, args.shape.queries), kThreads, 0, context, args, row_products);
  }
  if (args.dkey == nullptr && args.dvalue == nullptr) return;
  launch(key_gradient_wide, grid_of(args.shape, args.shape.keys), kThreads, 0, context, args, row_products);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
