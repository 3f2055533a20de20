// A block owns (line, head) and a tile of up to 128 cells of the line, one thread per cell: the thread keeps its
// operands and sums in registers, and walks the other cells of the line in tiles that the block puts into shared
// memory, where all lanes read the same address at a time. Nothing of size L^2 is stored, and lines of any length work.
//   forward         thread = query; softmax on the way: largest score and sum so far, sums of p v rescaled when the
//                   largest grows (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018)
//   query_gradient  thread = query; a first walk gathers the largest score, the sum and D = rowsum(P * dP), and stores
//                   them for the next kernel, a second walk sums dq
//   pair_gradient   thread = key; sums dk and dv over the queries
// A head of more than E = 32 channels is cut into slices of E: one block per slice of the results, which sums the
// scores over all slices first. Channels beyond the head are zeros. Per head and cell of a line of L: forward 2 L e
// multiply-adds and 16 e bytes, backward 9 L e (5 if nothing were computed twice) and 44 e: memory is the limit below L
// of about 150 forward and 100 backward, arithmetic beyond (docs/kernels/attention.md). No atomics, all sums in order
// of the cells: the same bits in every run. Grew from kernels/lab/axial_attention/3_online.h.
#include "kernels/axial_attention.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/port.h"

namespace tessera {

namespace {

constexpr int kMostThreads = 128;
constexpr int kTile = 16;         // cells in shared memory at a time, forward
constexpr int kGradientTile = 8;  // the same, backward

// Cells first, first + stride, ...
struct Line {
  int64_t first;
  int32_t count, stride;
};

// Where a head lies in the arrays: cell i of the line is `cell(i)`; its channels start at head * width.
struct Head {
  Line line;
  int64_t channels;
  int64_t offset;  // of the head's first channel
  int32_t width, slices;
  float scale;

  __device__ Head(const Line* lines, int64_t channels_, int64_t heads, int slice_width)
      : line(lines[blockIdx.x / heads]),
        channels(channels_),
        offset(blockIdx.x % heads * (channels_ / heads)),
        width(static_cast<int32_t>(channels_ / heads)),
        slices(ceil_div(width, slice_width)),
        scale(1.0f / sqrtf(static_cast<float>(width))) {}

  __device__ int64_t cell(int i) const { return line.first + int64_t{i} * line.stride; }
  // Address of channel c of cell i in [R, C], and in [R, 2 C]: its key; its value is C further.
  __device__ int64_t at(int i, int c) const { return cell(i) * channels + offset + c; }
  __device__ int64_t pair_at(int i, int c) const { return cell(i) * 2 * channels + offset + c; }
};

// Channels [slice * E, slice * E + E) of an operand of one cell.
template <int E>
struct Slice {
  float value[E];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int e = 0; e < E; ++e) value[e] = 0.0f;
  }
  // from: channel 0 of the head; zeros where the head ends, and everywhere if not `valid`.
  __device__ __forceinline__ void load(const float* from, int slice, int width, bool valid) {
#pragma unroll
    for (int e = 0; e < E; ++e) value[e] = valid && slice * E + e < width ? from[slice * E + e] : 0.0f;
  }
  __device__ __forceinline__ void store(float* to, int slice, int width, float factor) const {
#pragma unroll
    for (int e = 0; e < E; ++e) {
      if (slice * E + e < width) to[slice * E + e] = factor * value[e];
    }
  }
  // The same row of shared memory for all lanes.
  __device__ __forceinline__ float dot(const float* row) const {
    float sum = 0.0f;
#pragma unroll
    for (int e = 0; e < E; e += 4) {
      const float4 v = load4(row + e);
      sum += value[e] * v.x + value[e + 1] * v.y + value[e + 2] * v.z + value[e + 3] * v.w;
    }
    return sum;
  }
  __device__ __forceinline__ void add(float factor, const float* row) {
#pragma unroll
    for (int e = 0; e < E; e += 4) {
      const float4 v = load4(row + e);
      value[e] += factor * v.x;
      value[e + 1] += factor * v.y;
      value[e + 2] += factor * v.z;
      value[e + 3] += factor * v.w;
    }
  }
  __device__ __forceinline__ void multiply(float factor) {
#pragma unroll
    for (int e = 0; e < E; ++e) value[e] *= factor;
  }
};

// The block copies one slice of `rows` cells from cell `first` on; zeros beyond the line and the head.
// address(i): channel 0 of the head of cell i.
template <int E, int rows, typename Address>
__device__ __forceinline__ void load_tile(float (&tile)[rows][E], int first, const Head& head, int slice,
                                          const Address& address) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * E; i += static_cast<int>(blockDim.x)) {
    const int cell = first + i / E, c = slice * E + i % E;
    tile[i / E][i % E] = cell < head.line.count && c < head.width ? address(cell)[c] : 0.0f;
  }
}

// The slices of a head in an order that ends with the one whose results this block computes, so that it is the one left
// in shared memory and registers.
__device__ __forceinline__ int slice_of(int step, int slices) {
  return (static_cast<int>(blockIdx.z) + 1 + step) % slices;
}

template <int E>
__global__ void __launch_bounds__(kMostThreads) attend(AxialAttentionForwardArgs args, const Line* lines) {
  SHARED(keys, float[kTile][E]);
  SHARED(values, float[kTile][E]);
  const Head head(lines, args.channels, args.heads, E);
  const int first = static_cast<int>(blockIdx.y * blockDim.x), i = first + static_cast<int>(threadIdx.x);
  if (first >= head.line.count) return;
  const bool valid = i < head.line.count;
  const float* query = args.query + head.at(i < head.line.count ? i : 0, 0);
  const auto key_of = [&](int j) { return args.key_value + head.pair_at(j, 0); };
  const auto value_of = [&](int j) { return args.key_value + head.pair_at(j, 0) + args.channels; };
  const int slice = static_cast<int>(blockIdx.z);

  Slice<E> q, sum;
  sum.clear();
  q.load(query, slice, head.width, valid);
  float largest = -__uint_as_float(0x7f800000u), total = 0.0f;
  for (int begin = 0; begin < head.line.count; begin += kTile) {
    float score[kTile] = {};
    for (int step = 0; step < head.slices; ++step) {
      const int part = slice_of(step, head.slices);
      __syncthreads();
      load_tile(keys, begin, head, part, key_of);
      if (part == slice) load_tile(values, begin, head, part, value_of);
      __syncthreads();
      if (head.slices > 1) q.load(query, part, head.width, valid);
#pragma unroll
      for (int t = 0; t < kTile; ++t) score[t] += q.dot(keys[t]);
    }
    const int cells = min(kTile, head.line.count - begin);
    float next = largest;
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      if (t < cells) next = score[t] > next ? score[t] : next;
    }
    const float shrink = expf(head.scale * (largest - next));
    largest = next;
    total *= shrink;
    sum.multiply(shrink);
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      if (t >= cells) continue;
      const float p = expf(head.scale * (score[t] - largest));
      total += p;
      sum.add(p, values[t]);
    }
  }
  if (valid) sum.store(args.y + head.at(i, 0), slice, head.width, 1.0f / total);
}

// Of a query: P = exp(scale * (score - largest)) * inverse, and D = rowsum(P * dP).
struct QueryStatistics {
  float largest, inverse, mean;
};

// Left to itself ptxas aims at seven blocks for E = 8, and spills.
template <int E>
__global__ void __launch_bounds__(kMostThreads, E == 8 ? 4 : 1)
    query_gradient(AxialAttentionBackwardArgs args, const Line* lines, QueryStatistics* statistics) {
  SHARED(keys, float[kGradientTile][E]);
  SHARED(values, float[kGradientTile][E]);
  const Head head(lines, args.channels, args.heads, E);
  const int first = static_cast<int>(blockIdx.y * blockDim.x), i = first + static_cast<int>(threadIdx.x);
  if (first >= head.line.count) return;
  const bool valid = i < head.line.count;
  const int64_t own = head.at(i < head.line.count ? i : 0, 0);
  const auto key_of = [&](int j) { return args.key_value + head.pair_at(j, 0); };
  const auto value_of = [&](int j) { return args.key_value + head.pair_at(j, 0) + args.channels; };
  const int slice = static_cast<int>(blockIdx.z);

  Slice<E> q, dy, dq;
  q.load(args.query + own, slice, head.width, valid);
  dy.load(args.dy + own, slice, head.width, valid);
  dq.clear();
  // Scores and dP of the tile that begins at a cell; its keys' slice stays in shared memory.
  const auto products = [&](int begin, float(&score)[kGradientTile], float(&dp)[kGradientTile]) {
#pragma unroll
    for (int t = 0; t < kGradientTile; ++t) score[t] = dp[t] = 0.0f;
    for (int step = 0; step < head.slices; ++step) {
      const int part = slice_of(step, head.slices);
      __syncthreads();
      load_tile(keys, begin, head, part, key_of);
      load_tile(values, begin, head, part, value_of);
      __syncthreads();
      if (head.slices > 1) {
        q.load(args.query + own, part, head.width, valid);
        dy.load(args.dy + own, part, head.width, valid);
      }
#pragma unroll
      for (int t = 0; t < kGradientTile; ++t) {
        score[t] += q.dot(keys[t]);
        dp[t] += dy.dot(values[t]);
      }
    }
  };
  float score[kGradientTile], dp[kGradientTile];
  float largest = -__uint_as_float(0x7f800000u), total = 0.0f, weighted = 0.0f;
  for (int begin = 0; begin < head.line.count; begin += kGradientTile) {
    products(begin, score, dp);
    const int cells = min(kGradientTile, head.line.count - begin);
    float next = largest;
#pragma unroll
    for (int t = 0; t < kGradientTile; ++t) {
      if (t < cells) next = score[t] > next ? score[t] : next;
    }
    const float shrink = expf(head.scale * (largest - next));
    largest = next;
    total *= shrink;
    weighted *= shrink;
#pragma unroll
    for (int t = 0; t < kGradientTile; ++t) {
      if (t >= cells) continue;
      const float p = expf(head.scale * (score[t] - largest));
      total += p;
      weighted += p * dp[t];
    }
  }
  const float inverse = 1.0f / total, mean = weighted * inverse;
  for (int begin = 0; begin < head.line.count; begin += kGradientTile) {
    products(begin, score, dp);
    const int cells = min(kGradientTile, head.line.count - begin);
#pragma unroll
    for (int t = 0; t < kGradientTile; ++t) {
      if (t >= cells) continue;
      const float p = expf(head.scale * (score[t] - largest)) * inverse;
      dq.add(p * (dp[t] - mean) * head.scale, keys[t]);
    }
  }
  if (!valid) return;
  dq.store(args.dquery + own, slice, head.width, 1.0f);
  if (slice == 0) statistics[head.cell(i) * args.heads + blockIdx.x % args.heads] = {largest, inverse, mean};
}

template <int E>
__global__ void __launch_bounds__(kMostThreads)
    pair_gradient(AxialAttentionBackwardArgs args, const Line* lines, const QueryStatistics* statistics) {
  SHARED(queries, float[kGradientTile][E]);
  SHARED(gradients, float[kGradientTile][E]);
  const Head head(lines, args.channels, args.heads, E);
  const int first = static_cast<int>(blockIdx.y * blockDim.x), j = first + static_cast<int>(threadIdx.x);
  if (first >= head.line.count) return;
  const bool valid = j < head.line.count;
  const int64_t own = head.pair_at(j < head.line.count ? j : 0, 0);
  const auto query_of = [&](int i) { return args.query + head.at(i, 0); };
  const auto gradient_of = [&](int i) { return args.dy + head.at(i, 0); };
  const int slice = static_cast<int>(blockIdx.z);

  Slice<E> key, value, dkey, dvalue;
  key.load(args.key_value + own, slice, head.width, valid);
  value.load(args.key_value + own + args.channels, slice, head.width, valid);
  dkey.clear();
  dvalue.clear();
  for (int begin = 0; begin < head.line.count; begin += kGradientTile) {
    float score[kGradientTile] = {}, dp[kGradientTile] = {};
    for (int step = 0; step < head.slices; ++step) {
      const int part = slice_of(step, head.slices);
      __syncthreads();
      load_tile(queries, begin, head, part, query_of);
      load_tile(gradients, begin, head, part, gradient_of);
      __syncthreads();
      if (head.slices > 1) {
        key.load(args.key_value + own, part, head.width, valid);
        value.load(args.key_value + own + args.channels, part, head.width, valid);
      }
#pragma unroll
      for (int t = 0; t < kGradientTile; ++t) {
        score[t] += key.dot(queries[t]);
        dp[t] += value.dot(gradients[t]);
      }
    }
    const int cells = min(kGradientTile, head.line.count - begin);
#pragma unroll
    for (int t = 0; t < kGradientTile; ++t) {
      if (t >= cells) continue;
      const QueryStatistics of = statistics[head.cell(begin + t) * args.heads + blockIdx.x % args.heads];
      const float p = expf(head.scale * (score[t] - of.largest)) * of.inverse;
      dvalue.add(p, gradients[t]);
      dkey.add(p * (dp[t] - of.mean) * head.scale, queries[t]);
    }
  }
  if (!valid) return;
  dkey.store(args.dkey_value + own, slice, head.width, 1.0f);
  dvalue.store(args.dkey_value + own + args.channels, slice, head.width, 1.0f);
}

// The lines of a call, and the launch that covers them.
struct Plan {
  std::vector<Line> lines;
  int64_t cells = 0;  // rows of the arrays, as far as maps reach

  Plan(std::span<const AttentionMap> maps, bool along_columns) {
    for (const AttentionMap& map : maps) {
      const int64_t area = map.height * map.width, count = along_columns ? map.height : map.width;
      const int64_t stride = along_columns ? map.width : 1;
      for (int64_t image = 0; image < map.images; ++image) {
        const int64_t origin = map.row_begin + image * area;
        for (int64_t line = 0; line < (along_columns ? map.width : map.height); ++line) {
          lines.push_back({origin + line * (along_columns ? 1 : map.width), static_cast<int32_t>(count),
                           static_cast<int32_t>(stride)});
        }
      }
      cells = std::max(cells, map.row_begin + map.images * area);
      longest_ = std::max(longest_, count);
    }
  }

  dim3 block() const {
    return {static_cast<unsigned>(std::min<int64_t>(kMostThreads, ceil_div(longest_, 32) * 32)), 1, 1};
  }
  dim3 grid(int64_t heads, int64_t width, int slice_width) const {
    return {static_cast<unsigned>(static_cast<int64_t>(lines.size()) * heads),
            static_cast<unsigned>(ceil_div<int64_t>(longest_, kMostThreads)),
            static_cast<unsigned>(ceil_div<int64_t>(width, slice_width))};
  }

 private:
  int64_t longest_ = 0;
};

template <int E>
void forward(DeviceContext& context, const AxialAttentionForwardArgs& args) {
  const Plan plan(args.maps, args.along_columns);
  const DeviceArray<Line> lines(context, plan.lines.data(), static_cast<int64_t>(plan.lines.size()));
  launch(attend<E>, plan.grid(args.heads, args.channels / args.heads, E), plan.block(), 0, context, args, lines.data());
}

template <int E>
void backward(DeviceContext& context, const AxialAttentionBackwardArgs& args) {
  const Plan plan(args.maps, args.along_columns);
  const DeviceArray<Line> lines(context, plan.lines.data(), static_cast<int64_t>(plan.lines.size()));
  Scratch<QueryStatistics> statistics(context, static_cast<size_t>(plan.cells * args.heads));
  const dim3 grid = plan.grid(args.heads, args.channels / args.heads, E);
  launch(query_gradient<E>, grid, plan.block(), 0, context, args, lines.data(), statistics.data());
  launch(pair_gradient<E>, grid, plan.block(), 0, context, args, lines.data(), statistics.data());
}

}  // namespace

void axial_attention_forward(DeviceContext& context, const AxialAttentionForwardArgs& args) {
  const int64_t width = args.channels / args.heads;
  if (width <= 8) return forward<8>(context, args);
  if (width <= 16) return forward<16>(context, args);
  forward<32>(context, args);
}

void axial_attention_backward(DeviceContext& context, const AxialAttentionBackwardArgs& args) {
  const int64_t width = args.channels / args.heads;
  if (width <= 8) return backward<8>(context, args);
  if (width <= 16) return backward<16>(context, args);
  backward<32>(context, args);
}

}  // namespace tessera
