// Statistics of chunks of rows [*, C] on the device (kernels/row_moments.h). A block of 32 x 8 threads owns a chunk of
// at most 128 rows and 32 channels: lane = channel, so a warp reads 128 consecutive bytes, and a thread keeps its 16
// values in registers: the second pass, over deviations from the mean, is over those.
#pragma once

#include "kernels/cuda/port.h"
#include "kernels/row_moments.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kMomentChannels = 32, kMomentThreads = 8;  // threadIdx.x, threadIdx.y
inline constexpr int kMomentRowsPerThread = 16, kMomentRows = kMomentThreads * kMomentRowsPerThread;

// Mean and sum of squared deviations of values that are added part by part.
struct Moments {
  float rows = 0.0f, mean = 0.0f, deviation = 0.0f;

  __device__ __forceinline__ void join(float added_rows, float added_mean, float added_deviation) {
    if (added_rows == 0.0f) return;
    const float share = added_rows / (rows + added_rows), distance = added_mean - mean;
    mean += distance * share;
    deviation += added_deviation + distance * distance * rows * share;
    rows += added_rows;
  }
  // Of channel `channel` of a part.
  __device__ __forceinline__ void store(float* values, int64_t part, int64_t channels, int64_t channel) const {
    float* to = values + part * 2 * channels + channel;
    to[0] = mean;
    to[channels] = deviation > 0.0f ? deviation : 0.0f;
  }
};

// Rows of thread row y: y, y + 8, ...
__device__ __forceinline__ int moment_rows_of(int y, int chunk_rows) {
  return y < chunk_rows ? (chunk_rows - y + kMomentThreads - 1) / kMomentThreads : 0;
}

// All threads of the block call. value(i): of row threadIdx.y + 8 i of the chunk in this thread's channel, asked for
// once; inside: the channel exists. The result is that of thread row 0.
template <typename Value>
__device__ __forceinline__ Moments chunk_moments(int chunk_rows, bool inside, Value&& value) {
  SHARED(means, float[kMomentThreads][kMomentChannels]);
  SHARED(deviations, float[kMomentThreads][kMomentChannels]);
  const int rows = inside ? moment_rows_of(static_cast<int>(threadIdx.y), chunk_rows) : 0;
  float values[kMomentRowsPerThread], sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kMomentRowsPerThread; ++i) {
    values[i] = i < rows ? value(i) : 0.0f;
    sum += values[i];
  }
  const float inverse = rows > 0 ? 1.0f / static_cast<float>(rows) : 0.0f, centre = sum * inverse;
  float rest = 0.0f, squares = 0.0f;  // rest: what rounding left of the mean
#pragma unroll
  for (int i = 0; i < kMomentRowsPerThread; ++i) {
    const float centred = i < rows ? values[i] - centre : 0.0f;
    rest += centred;
    squares += centred * centred;
  }
  means[threadIdx.y][threadIdx.x] = centre + rest * inverse;
  deviations[threadIdx.y][threadIdx.x] = squares - rest * rest * inverse;
  __syncthreads();
  Moments moments;
  if (threadIdx.y != 0) return moments;
  for (int y = 0; y < kMomentThreads; ++y) {
    moments.join(static_cast<float>(moment_rows_of(y, chunk_rows)), means[y][threadIdx.x], deviations[y][threadIdx.x]);
  }
  return moments;
}

}  // namespace TESSERA_PORT
}  // namespace tessera
