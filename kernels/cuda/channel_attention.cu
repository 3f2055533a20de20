// Statistics: the pixels of an image are cut into at most 256 chunks of at least 256. A block of 32 x 8 threads owns a
// chunk and 32 channels: lane = channel, so a warp reads consecutive addresses; thread row y takes pixels y, y + 8, ...
// and keeps sum, maximum and its place in registers. A second kernel adds the chunks in order, in double. x is read
// once: 4 bytes per element. Of equal maxima the first pixel wins in every step. Gate and gradients: lanes along the
// channels, see channel_rows.h, one image per blockIdx.y.
//   pool backward   4 bytes per element of dx; the gradients and winners of an image stay in cache
//   gate forward    8 bytes per element
//   gate backward   dx 8 bytes; dlogits 8 more, see column_sums.h, before dx overwrites dy
// Bandwidth is the limit of all.
#include "kernels/channel_attention.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/logistic.h"

namespace tessera {

namespace {

constexpr int kChannelAttentionThreads = kSumChannels * kSumRowThreads;
constexpr int64_t kLeastChunk = 256, kMostChunks = 256;

struct Statistics {
  float sum, largest;
  int32_t winner;
};

// `other` may come from earlier or from later pixels.
__device__ __forceinline__ void join_largest(Statistics& own, const Statistics& other) {
  const bool better = other.largest > own.largest || (other.largest == own.largest && other.winner < own.winner);
  own.largest = better ? other.largest : own.largest;
  own.winner = better ? other.winner : own.winner;
}

// Block (image and chunk, 32 channels). partial: [images, chunks, C].
__global__ void __launch_bounds__(kChannelAttentionThreads)
    chunk_statistics(ChannelPoolForwardArgs args, int64_t chunk, int64_t chunks, Statistics* partial) {
  SHARED(shared, Statistics[kSumRowThreads][kSumChannels]);
  const int64_t image = blockIdx.x / chunks, begin = blockIdx.x % chunks * chunk;
  const int64_t end = begin + chunk < args.pixels ? begin + chunk : args.pixels;
  const int64_t channel = int64_t{blockIdx.y} * kSumChannels + threadIdx.x;
  // Thread row 0 has a pixel in every chunk; the place of the others' nothing comes after every pixel.
  Statistics own{0.0f, -INFINITY, std::numeric_limits<int32_t>::max()};
  if (channel < args.channels) {
    const float* x = args.x + image * args.pixels * args.channels + channel;
    int64_t p = begin + threadIdx.y;
    if (p < end) own = {x[p * args.channels], x[p * args.channels], static_cast<int32_t>(p)};
    for (p += kSumRowThreads; p < end; p += kSumRowThreads) {
      const float value = x[p * args.channels];
      own.sum += value;
      own.winner = value > own.largest ? static_cast<int32_t>(p) : own.winner;
      own.largest = value > own.largest ? value : own.largest;
    }
  }
  shared[threadIdx.y][threadIdx.x] = own;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= args.channels) return;
  for (int y = 1; y < kSumRowThreads; ++y) {
    const Statistics& other = shared[y][threadIdx.x];
    own.sum += other.sum;
    join_largest(own, other);
  }
  partial[int64_t{blockIdx.x} * args.channels + channel] = own;
}

__global__ void __launch_bounds__(kChannelAttentionThreads)
    join_chunks(ChannelPoolForwardArgs args, int64_t chunks, const Statistics* partial) {
  const int64_t all = args.images * args.channels;
  for_each_element(all, [&](int64_t i) {
    const int64_t image = i / args.channels, channel = i - image * args.channels;
    const Statistics* own = partial + image * chunks * args.channels + channel;
    Statistics total = *own;
    double sum = total.sum;
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      own += args.channels;
      sum += own->sum;
      join_largest(total, *own);
    }
    args.y[i] = static_cast<float>(sum / static_cast<double>(args.pixels));
    args.y[all + i] = total.largest;
    args.winners[i] = total.winner;
  });
}

__global__ void __launch_bounds__(kRowThreads) pool_gradient(ChannelPoolBackwardArgs args) {
  const int64_t image = blockIdx.y;
  const float inverse = 1.0f / static_cast<float>(args.pixels);
  const float *mean = args.dy + image * args.channels, *largest = mean + args.images * args.channels;
  const int32_t* winners = args.winners + image * args.channels;
  float* dx = args.dx + image * args.pixels * args.channels;
  for_each_row_vector(args.pixels, args.channels, [&](int64_t pixel, int64_t c) {
    dx[pixel * args.channels + c] = mean[c] * inverse + (winners[c] == pixel ? largest[c] : 0.0f);
  });
}

__global__ void __launch_bounds__(kChannelAttentionThreads) find_gates(ChannelGateForwardArgs args) {
  const int64_t all = args.images * args.channels;
  for_each_element(all, [&](int64_t i) {
    float sum = 0.0f;
    for (int64_t set = 0; set < args.sets; ++set) sum += args.logits[set * all + i];
    args.gate[i] = logistic(sum);
  });
}

// to[n][p][c] = from[n][p][c] * gate[n][c]; block (pixels, image).
template <int width>
__global__ void __launch_bounds__(kRowThreads)
    apply_gates(const float* from, const float* gate, float* to, int64_t pixels, int64_t channels) {
  using Vector = Channels<width>;
  const int64_t image = blockIdx.y;
  for_each_row_vector(pixels, channels / width, [&](int64_t pixel, int64_t v) {
    const int64_t c = v * width, at = (image * pixels + pixel) * channels + c;
    Vector::map([](float value, float s) { return value * s; }, Vector::load(from + at),
                Vector::load(gate + image * channels + c))
        .store(to + at);
  });
}

void launch_apply_gates(DeviceContext& context, const float* from, const float* gate, float* to, int64_t images,
                        int64_t pixels, int64_t channels) {
  if (channels == 0) return;
  const bool vector = aligned4(channels, from, gate, to);
  const dim3 block = row_block(vector ? channels / 4 : channels);
  launch(vector ? apply_gates<4> : apply_gates<1>, dim3(row_grid(pixels, block), static_cast<unsigned>(images)), block,
         0, context, from, gate, to, pixels, channels);
}

struct GateTerm {
  ChannelGateBackwardArgs args;
  __device__ void operator()(int64_t image, int64_t pixel, int64_t c, float (&sums)[1]) const {
    const int64_t at = (image * args.pixels + pixel) * args.channels + c;
    sums[0] += args.dy[at] * args.x[at];
  }
};

__global__ void __launch_bounds__(kChannelAttentionThreads)
    logit_gradients(ChannelGateBackwardArgs args, const float* sums) {
  const int64_t all = args.images * args.channels;
  for_each_element(all, [&](int64_t i) {
    const float gradient = sums[i] * args.gate[i] * (1.0f - args.gate[i]);
    for (int64_t set = 0; set < args.sets; ++set) args.dlogits[set * all + i] = gradient;
  });
}

}  // namespace

void channel_pool_forward(DeviceContext& context, const ChannelPoolForwardArgs& args) {
  const int64_t share = ceil_div(args.pixels, kMostChunks), chunk = share > kLeastChunk ? share : kLeastChunk;
  const int64_t chunks = ceil_div(args.pixels, chunk), blocks = args.images * chunks;
  Scratch<Statistics> partial(context, static_cast<size_t>(blocks * args.channels));
  launch(chunk_statistics,
         dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(ceil_div<int64_t>(args.channels, kSumChannels))),
         dim3(kSumChannels, kSumRowThreads), 0, context, args, chunk, chunks, partial.data());
  launch(join_chunks, grid_for(args.images * args.channels, kChannelAttentionThreads), kChannelAttentionThreads, 0,
         context, args, chunks, partial.data());
}

void channel_pool_backward(DeviceContext& context, const ChannelPoolBackwardArgs& args) {
  if (args.channels == 0) return;
  const dim3 block = row_block(args.channels);
  launch(pool_gradient, dim3(row_grid(args.pixels, block), static_cast<unsigned>(args.images)), block, 0, context,
         args);
}

void channel_gate_forward(DeviceContext& context, const ChannelGateForwardArgs& args) {
  launch(find_gates, grid_for(args.images * args.channels, kChannelAttentionThreads), kChannelAttentionThreads, 0,
         context, args);
  launch_apply_gates(context, args.x, args.gate, args.y, args.images, args.pixels, args.channels);
}

void channel_gate_backward(DeviceContext& context, const ChannelGateBackwardArgs& args) {
  if (args.dlogits != nullptr) {  // first: dx may overwrite dy
    Scratch<float> sums(context, static_cast<size_t>(args.images * args.channels));
    launch_column_sums<1>(context, GateTerm{args}, {args.images, args.pixels, args.channels}, {{sums.data()}});
    launch(logit_gradients, grid_for(args.images * args.channels, kChannelAttentionThreads), kChannelAttentionThreads,
           0, context, args, sums.data());
  }
  if (args.dx != nullptr) {
    launch_apply_gates(context, args.dy, args.gate, args.dx, args.images, args.pixels, args.channels);
  }
}

}  // namespace tessera
