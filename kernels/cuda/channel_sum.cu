// Sums of every channel over all rows. Block: a chunk of rows and up to 32 channels (the power of two above, when there
// are fewer); a warp reads whole rows of them. Each thread sums its rows in order, the block the threads in order, a
// second kernel the chunks in order and in double. Reads 4 bytes per element: bandwidth is the limit.
#include "kernels/conv2d.h"
#include "kernels/cuda/port.h"

namespace tessera {

namespace {

constexpr int kChannelSumThreads = 256, kRowsPerThread = 32, kMostChannels = 32;

__global__ void __launch_bounds__(kChannelSumThreads)
    channel_sum_chunks(const float* dy, int64_t rows, int64_t channels, int block_channels, float* partial) {
  SHARED(sums, float[kChannelSumThreads]);
  const int x = static_cast<int>(threadIdx.x) % block_channels, y = static_cast<int>(threadIdx.x) / block_channels;
  const int row_threads = kChannelSumThreads / block_channels;
  const int64_t channel = int64_t{blockIdx.y} * block_channels + x;
  const int64_t first = int64_t{blockIdx.x} * row_threads * kRowsPerThread + y;
  float sum = 0.0f;
  if (channel < channels) {
#pragma unroll 8
    for (int i = 0; i < kRowsPerThread; ++i) {
      const int64_t row = first + int64_t{i} * row_threads;
      if (row < rows) sum += dy[row * channels + channel];
    }
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (y != 0 || channel >= channels) return;
  for (int i = 1; i < row_threads; ++i) sum += sums[i * block_channels + x];
  partial[blockIdx.x * channels + channel] = sum;
}

// Block: 32 channels, 8 threads each.
__global__ void __launch_bounds__(kChannelSumThreads)
    channel_sum_combine(const float* partial, int64_t chunks, int64_t channels, float* dbias) {
  SHARED(sums, double[kChannelSumThreads / 32][32]);
  const int64_t channel = int64_t{blockIdx.x} * 32 + threadIdx.x;
  double sum = 0.0;
  if (channel < channels) {
    for (int64_t chunk = threadIdx.y; chunk < chunks; chunk += kChannelSumThreads / 32) {
      sum += partial[chunk * channels + channel];
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= channels) return;
  for (int i = 1; i < kChannelSumThreads / 32; ++i) sum += sums[i][threadIdx.x];
  dbias[channel] = static_cast<float>(sum);
}

}  // namespace

void channel_sum(DeviceContext& context, const ChannelSumArgs& args) {
  int block_channels = 1;
  while (block_channels < args.channels && block_channels < kMostChannels) block_channels *= 2;
  const int64_t chunk_rows = int64_t{kChannelSumThreads / block_channels} * kRowsPerThread;
  const int64_t chunks = ceil_div(args.rows, chunk_rows);
  Scratch<float> partial(context, static_cast<size_t>(chunks * args.channels));
  launch(channel_sum_chunks,
         dim3(static_cast<unsigned>(chunks), static_cast<unsigned>(ceil_div<int64_t>(args.channels, block_channels))),
         kChannelSumThreads, 0, context, args.dy, args.rows, args.channels, block_channels, partial.data());
  launch(channel_sum_combine, static_cast<unsigned>(ceil_div<int64_t>(args.channels, 32)),
         dim3(32, kChannelSumThreads / 32), 0, context, partial.data(), chunks, args.channels, args.dbias);
}

}  // namespace tessera
