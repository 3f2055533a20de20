// Rows are cut into chunks of at most 128 rows of one segment. A block of 32 x 8 threads owns a chunk and 32 channels:
// lane = channel, so a warp reads 128 consecutive bytes; each thread keeps its 16 values in registers.
//   forward:  per-channel mean and squared deviations of every chunk (x read once), unless the kernel that made x left
//             them (kernels/row_moments.h)
//          -> mean and rstd of every segment and group, chunks combined in double in a fixed order
//          -> y (x read again, y written): 12 bytes per element, 8 with statistics given; bandwidth is the limit
//   backward: per-channel sums of g and g * xh of every chunk (x, dy read)
//          -> sums per segment and group; dweight, dbias over all chunks
//          -> dx (x, dy read again, dx written): 20 bytes per element
// No atomics: the same bits in every run. Grew from kernels/lab/group_norm/3_chunks.h.
#include "kernels/group_norm.h"

#include <vector>

#include "kernels/cuda/row_moments.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kChannels = kMomentChannels, kRowThreads = kMomentThreads, kGroupNormThreads = kChannels * kRowThreads;
constexpr int kChunkRows = kMomentRows;
constexpr int kCombineThreads = 128;

struct Chunk {
  int64_t begin;  // row
  int32_t rows;
  int32_t segment;
};

// Chunks of a call: on the host to count them, on the device for the kernels.
struct ChunkPlan {
  std::vector<Chunk> chunks;         // ordered by segment
  std::vector<int64_t> first_chunk;  // [S + 1]

  ChunkPlan(const RowRange* segments, int64_t segment_count) {
    for (int64_t segment = 0; segment < segment_count; ++segment) {
      first_chunk.push_back(static_cast<int64_t>(chunks.size()));
      for (int64_t done = 0; done < segments[segment].count; done += kChunkRows) {
        const int64_t rest = segments[segment].count - done;
        chunks.push_back({segments[segment].begin + done, static_cast<int32_t>(rest < kChunkRows ? rest : kChunkRows),
                          static_cast<int32_t>(segment)});
      }
    }
    first_chunk.push_back(static_cast<int64_t>(chunks.size()));
  }

  int64_t size() const { return static_cast<int64_t>(chunks.size()); }
};

struct DevicePlan {
  const Chunk* chunks;
  const int64_t* first_chunk;
};

// The block's chunk and this thread's part of it.
struct ChunkThread {
  Chunk chunk;
  int64_t channel;
  bool inside;  // of the channels
  int rows;     // this thread's: row(0) ... row(rows - 1)

  __device__ ChunkThread(const Chunk* chunks, int64_t channels)
      : chunk(chunks[blockIdx.x]), channel(int64_t{blockIdx.y} * kChannels + threadIdx.x), inside(channel < channels) {
    const int first = static_cast<int>(threadIdx.y);
    rows = inside && first < chunk.rows ? (chunk.rows - first + kRowThreads - 1) / kRowThreads : 0;
  }
  __device__ int64_t row(int i) const { return chunk.begin + threadIdx.y + int64_t{i} * kRowThreads; }
};

// Statistics of the chunks.
__global__ void __launch_bounds__(kGroupNormThreads)
    chunk_statistics(const float* x, const Chunk* chunks, int64_t channels, RowMoments to) {
  const ChunkThread at(chunks, channels);
  const Moments moments =
      chunk_moments(at.chunk.rows, at.inside, [&](int i) { return x[at.row(i) * channels + at.channel]; });
  if (threadIdx.y != 0) return;
  if (at.channel == 0) to.rows[blockIdx.x] = at.chunk.rows;
  if (at.inside) moments.store(to.values, blockIdx.x, channels, at.channel);
}

// Block (segment, group): combines the parts of the segment, parts[segment] ... parts[segment + 1] - 1.
__global__ void __launch_bounds__(kCombineThreads)
    group_statistics(RowMoments moments, const int64_t* parts, int64_t channels, int64_t groups, float epsilon,
                     float* mean_out, float* rstd_out) {
  const int64_t segment = blockIdx.x / groups, group = blockIdx.x % groups, size = channels / groups;
  const int64_t first = parts[segment], count = (parts[segment + 1] - first) * size;
  const auto visit = [&](auto&& use) {
    for (int64_t i = threadIdx.x; i < count; i += kCombineThreads) {
      const int64_t part = first + i / size, channel = group * size + i % size;
      const int32_t rows = moments.rows[part];
      if (rows == 0) continue;
      const float* of_part = moments.values + part * 2 * channels;
      use(static_cast<double>(rows), of_part[channel], of_part[channels + channel]);
    }
  };
  double sum = 0.0, elements = 0.0;
  visit([&](double rows, float mean, float) {
    sum += rows * mean;
    elements += rows;
  });
  elements = block_sum(elements);
  elements = elements > 0.0 ? elements : 1.0;
  const double mean = block_sum(sum) / elements;
  double squares = 0.0;
  visit([&](double rows, float chunk_mean, float deviation) {
    const double distance = chunk_mean - mean;
    squares += deviation + rows * distance * distance;
  });
  squares = block_sum(squares);
  if (threadIdx.x != 0) return;
  mean_out[blockIdx.x] = static_cast<float>(mean);
  rstd_out[blockIdx.x] = static_cast<float>(1.0 / sqrt(squares / elements + epsilon));
}

template <bool relu>
__global__ void __launch_bounds__(kGroupNormThreads) normalise(GroupNormForwardArgs args, const Chunk* chunks) {
  const ChunkThread at(chunks, args.channels);
  if (!at.inside) return;
  const int64_t group = at.chunk.segment * args.groups + at.channel / (args.channels / args.groups);
  const float mean = args.mean[group], gain = args.rstd[group] * args.weight[at.channel];
  const float bias = args.bias[at.channel];
  for (int i = 0; i < at.rows; ++i) {
    const int64_t element = at.row(i) * args.channels + at.channel;
    const float y = (args.x[element] - mean) * gain + bias;
    args.y[element] = relu && !(y > 0.0f) && y == y ? 0.0f : y;
  }
}

// Per-channel constants of the backward pass and g from them.
template <bool relu>
struct BackwardChannel {
  float mean, rstd, gain, bias;

  __device__ BackwardChannel(const GroupNormBackwardArgs& args, int64_t segment, int64_t channel) {
    const int64_t group = segment * args.groups + channel / (args.channels / args.groups);
    mean = args.mean[group];
    rstd = args.rstd[group];
    gain = rstd * args.weight[channel];
    bias = args.bias[channel];
  }
  __device__ float gradient(float x, float dy) const { return relu && !((x - mean) * gain + bias > 0.0f) ? 0.0f : dy; }
};

// Sums of g and g * xh per chunk and channel: partial [chunks, 2, C].
template <bool relu>
__global__ void __launch_bounds__(kGroupNormThreads)
    chunk_gradient_sums(GroupNormBackwardArgs args, const Chunk* chunks, float* partial) {
  SHARED(sums, float[kRowThreads][kChannels]);
  SHARED(products, float[kRowThreads][kChannels]);
  const ChunkThread at(chunks, args.channels);
  float sum = 0.0f, product = 0.0f;
  if (at.inside) {
    const BackwardChannel<relu> of_channel(args, at.chunk.segment, at.channel);
    for (int i = 0; i < at.rows; ++i) {
      const int64_t element = at.row(i) * args.channels + at.channel;
      const float x = args.x[element], g = of_channel.gradient(x, args.dy[element]);
      sum += g;
      product += g * ((x - of_channel.mean) * of_channel.rstd);
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  products[threadIdx.y][threadIdx.x] = product;
  __syncthreads();
  if (threadIdx.y != 0 || !at.inside) return;
  for (int y = 1; y < kRowThreads; ++y) {
    sum += sums[y][threadIdx.x];
    product += products[y][threadIdx.x];
  }
  float* of_chunk = partial + int64_t{blockIdx.x} * 2 * args.channels;
  of_chunk[at.channel] = sum;
  of_chunk[args.channels + at.channel] = product;
}

// Block (segment, group): means of g * weight and g * weight * xh, into group_means [S * G, 2].
__global__ void __launch_bounds__(kCombineThreads)
    group_gradient_means(const float* partial, DevicePlan plan, const float* weight, int64_t channels, int64_t groups,
                         float* group_means) {
  const int64_t segment = blockIdx.x / groups, group = blockIdx.x % groups, size = channels / groups;
  const int64_t first = plan.first_chunk[segment], count = (plan.first_chunk[segment + 1] - first) * size;
  double elements = 0.0, sum = 0.0, product = 0.0;
  for (int64_t i = threadIdx.x; i < count; i += kCombineThreads) {
    const int64_t chunk = first + i / size, channel = group * size + i % size;
    const float* of_chunk = partial + chunk * 2 * channels;
    const double scale = weight[channel];
    elements += plan.chunks[chunk].rows;
    sum += scale * of_chunk[channel];
    product += scale * of_chunk[channels + channel];
  }
  elements = block_sum(elements);
  elements = elements > 0.0 ? elements : 1.0;
  sum = block_sum(sum);
  product = block_sum(product);
  if (threadIdx.x != 0) return;
  group_means[int64_t{blockIdx.x} * 2] = static_cast<float>(sum / elements);
  group_means[int64_t{blockIdx.x} * 2 + 1] = static_cast<float>(product / elements);
}

// Block: 32 channels; dbias and dweight over all chunks.
__global__ void __launch_bounds__(kGroupNormThreads)
    parameter_gradients(const float* partial, int64_t chunk_count, int64_t channels, float* dweight, float* dbias) {
  SHARED(sums, double[kRowThreads][kChannels]);
  SHARED(products, double[kRowThreads][kChannels]);
  const int64_t channel = int64_t{blockIdx.x} * kChannels + threadIdx.x;
  double sum = 0.0, product = 0.0;
  if (channel < channels) {
    for (int64_t chunk = threadIdx.y; chunk < chunk_count; chunk += kRowThreads) {
      sum += partial[chunk * 2 * channels + channel];
      product += partial[(chunk * 2 + 1) * channels + channel];
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  products[threadIdx.y][threadIdx.x] = product;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= channels) return;
  for (int y = 1; y < kRowThreads; ++y) {
    sum += sums[y][threadIdx.x];
    product += products[y][threadIdx.x];
  }
  if (dbias != nullptr) dbias[channel] = static_cast<float>(sum);
  if (dweight != nullptr) dweight[channel] = static_cast<float>(product);
}

template <bool relu>
__global__ void __launch_bounds__(kGroupNormThreads)
    input_gradient(GroupNormBackwardArgs args, const Chunk* chunks, const float* group_means) {
  const ChunkThread at(chunks, args.channels);
  if (!at.inside) return;
  const BackwardChannel<relu> of_channel(args, at.chunk.segment, at.channel);
  const int64_t group = at.chunk.segment * args.groups + at.channel / (args.channels / args.groups);
  const float weight = args.weight[at.channel];
  const float mean_sum = group_means[group * 2], mean_product = group_means[group * 2 + 1];
  for (int i = 0; i < at.rows; ++i) {
    const int64_t element = at.row(i) * args.channels + at.channel;
    const float x = args.x[element], g = of_channel.gradient(x, args.dy[element]);
    const float normalised = (x - of_channel.mean) * of_channel.rstd;
    args.dx[element] = of_channel.rstd * (g * weight - mean_sum - normalised * mean_product);
  }
}

dim3 chunk_grid(const ChunkPlan& plan, int64_t channels) {
  return dim3(static_cast<unsigned>(plan.size()), static_cast<unsigned>(ceil_div<int64_t>(channels, kChannels)));
}

constexpr dim3 chunk_block() { return dim3(kChannels, kRowThreads); }

}  // namespace

void group_norm_forward(DeviceContext& context, const GroupNormForwardArgs& args) {
  const ChunkPlan plan(args.segments, args.segment_count);
  const DeviceArray<Chunk> chunks(context, plan.chunks.data(), plan.size());
  const dim3 grid = chunk_grid(plan, args.channels);
  const auto combine = [&](const RowMoments& moments, const std::vector<int64_t>& first_part) {
    const DeviceArray<int64_t> parts(context, first_part.data(), args.segment_count + 1);
    launch(group_statistics, static_cast<unsigned>(args.segment_count * args.groups), kCombineThreads, 0, context,
           moments, parts.data(), args.channels, args.groups, args.epsilon, args.mean, args.rstd);
  };
  if (args.moments.rows != nullptr) {
    const MomentParts parts = moment_parts(args.segments, args.segment_count);
    std::vector<int64_t> first_part;
    for (int64_t segment = 0; segment <= args.segment_count; ++segment) first_part.push_back(parts.begin(segment));
    combine(args.moments, first_part);
  } else {
    Scratch<int32_t> rows(context, static_cast<size_t>(plan.size()));
    Scratch<float> values(context, static_cast<size_t>(plan.size() * 2 * args.channels));
    const RowMoments moments{rows.data(), values.data()};
    launch(chunk_statistics, grid, chunk_block(), 0, context, args.x, chunks.data(), args.channels, moments);
    combine(moments, plan.first_chunk);
  }
  launch(args.relu ? normalise<true> : normalise<false>, grid, chunk_block(), 0, context, args, chunks.data());
}

void group_norm_backward(DeviceContext& context, const GroupNormBackwardArgs& args) {
  const ChunkPlan plan(args.segments, args.segment_count);
  const DeviceArray<Chunk> chunks(context, plan.chunks.data(), plan.size());
  const DeviceArray<int64_t> first_chunk(context, plan.first_chunk.data(), args.segment_count + 1);
  Scratch<float> partial(context, static_cast<size_t>(plan.size() * 2 * args.channels));
  const dim3 grid = chunk_grid(plan, args.channels);
  launch(args.relu ? chunk_gradient_sums<true> : chunk_gradient_sums<false>, grid, chunk_block(), 0, context, args,
         chunks.data(), partial.data());
  if (args.dweight != nullptr || args.dbias != nullptr) {
    launch(parameter_gradients, static_cast<unsigned>(ceil_div<int64_t>(args.channels, kChannels)), chunk_block(), 0,
           context, partial.data(), plan.size(), args.channels, args.dweight, args.dbias);
  }
  if (args.dx == nullptr) return;
  Scratch<float> group_means(context, static_cast<size_t>(args.segment_count * args.groups * 2));
  launch(group_gradient_means, static_cast<unsigned>(args.segment_count * args.groups), kCombineThreads, 0, context,
         partial.data(), DevicePlan{chunks.data(), first_chunk.data()}, args.weight, args.channels, args.groups,
         group_means.data());
  launch(args.relu ? input_gradient<true> : input_gradient<false>, grid, chunk_block(), 0, context, args, chunks.data(),
         group_means.data());
}

}  // namespace tessera
