// Three products of small matrices per image, by one kernel: a block of 256 threads owns a tile of 64 x 64 of the
// result and walks the inner dimension in steps of 16 through shared memory; a thread sums 4 x 4 elements in registers,
// in order.
//   y:         instances x pixels, inner dimension D          (z: image)
//   dfeatures: pixels x D, inner dimension instances          (z: image)
//   dkernels:  instances x D, inner dimension pixels in chunks of 2048 (z: image and chunk); a second kernel adds the
//              chunks in order
// Multiply-adds: K P D each. Per step a thread reads 32 values of shared memory for 256 multiply-adds: arithmetic in
// f32 is the limit where an image has 64 instances or more, below that the features (4 bytes per element).
#include "kernels/dynamic_conv.h"

#include <algorithm>

#include "kernels/cuda/port.h"

namespace tessera {

namespace {

constexpr int kTile = 64, kStep = 16, kSide = 4, kDynamicConvThreads = 256;
constexpr int64_t kChunkPixels = 2048;

// Element (row, inner) of an operand: from[row * row_stride + inner * inner_stride]; one of the strides is 1.
struct Operand {
  const float* from;
  int64_t row_stride, inner_stride;
};

// out[m * out_stride + n] = sum over k in [0, inner) of a(m, k) * b(n, k)
struct Product {
  Operand a, b;
  float* out;
  int64_t out_stride;
  int64_t rows, columns, inner;
};

// tile[k][row] of the operand; consecutive threads read along the stride that is 1.
__device__ __forceinline__ void load_tile(float (&tile)[kStep][kTile + kSide], const Operand& operand, int64_t first,
                                          int64_t rows, int64_t begin, int64_t inner) {
#pragma unroll
  for (int step = 0; step < kTile * kStep / kDynamicConvThreads; ++step) {
    const int i = step * kDynamicConvThreads + static_cast<int>(threadIdx.x);
    const bool inner_fast = operand.inner_stride == 1;
    const int row = inner_fast ? i / kStep : i % kTile, k = inner_fast ? i % kStep : i / kTile;
    const bool valid = first + row < rows && begin + k < inner;
    tile[k][row] = valid ? operand.from[(first + row) * operand.row_stride + (begin + k) * operand.inner_stride] : 0.0f;
  }
}

__device__ void multiply_tile(const Product& product, unsigned row_tile, unsigned column_tile) {
  SHARED(a, float[kStep][kTile + kSide]);
  SHARED(b, float[kStep][kTile + kSide]);
  const int64_t row = int64_t{row_tile} * kTile, column = int64_t{column_tile} * kTile;
  if (row >= product.rows || column >= product.columns) return;  // the whole block
  const int m = static_cast<int>(threadIdx.x) / (kTile / kSide) * kSide;
  const int n = static_cast<int>(threadIdx.x) % (kTile / kSide) * kSide;
  float sum[kSide][kSide] = {};
  for (int64_t begin = 0; begin < product.inner; begin += kStep) {
    __syncthreads();
    load_tile(a, product.a, row, product.rows, begin, product.inner);
    load_tile(b, product.b, column, product.columns, begin, product.inner);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kStep; ++k) {
      const float4 left = load4(&a[k][m]), right = load4(&b[k][n]);
      const float l[kSide] = {left.x, left.y, left.z, left.w}, r[kSide] = {right.x, right.y, right.z, right.w};
#pragma unroll
      for (int i = 0; i < kSide; ++i) {
#pragma unroll
        for (int j = 0; j < kSide; ++j) sum[i][j] += l[i] * r[j];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kSide; ++i) {
#pragma unroll
    for (int j = 0; j < kSide; ++j) {
      if (row + m + i < product.rows && column + n + j < product.columns) {
        product.out[(row + m + i) * product.out_stride + column + n + j] = sum[i][j];
      }
    }
  }
}

__global__ void __launch_bounds__(kDynamicConvThreads)
    masks_kernel(const int64_t* first_instance, const float* features, const float* kernels, float* y, int64_t pixels,
                 int64_t channels) {
  const int64_t image = blockIdx.z, begin = first_instance[image], instances = first_instance[image + 1] - begin;
  multiply_tile({{kernels + begin * channels, channels, 1},
                 {features + image * pixels * channels, channels, 1},
                 y + begin * pixels,
                 pixels,
                 instances,
                 pixels,
                 channels},
                blockIdx.y, blockIdx.x);
}

__global__ void __launch_bounds__(kDynamicConvThreads)
    feature_gradient(const int64_t* first_instance, const float* dy, const float* kernels, float* dfeatures,
                     int64_t pixels, int64_t channels) {
  const int64_t image = blockIdx.z, begin = first_instance[image], instances = first_instance[image + 1] - begin;
  multiply_tile({{dy + begin * pixels, 1, pixels},
                 {kernels + begin * channels, 1, channels},
                 dfeatures + image * pixels * channels,
                 channels,
                 pixels,
                 channels,
                 instances},
                blockIdx.x, blockIdx.y);  // many pixels: only the first extent of a grid is large
}

// partial: [chunks, K, D]
__global__ void __launch_bounds__(kDynamicConvThreads)
    kernel_gradient(const int64_t* first_instance, const float* dy, const float* features, float* partial,
                    int64_t images, int64_t chunks, int64_t pixels, int64_t channels) {
  const int64_t image = blockIdx.z / chunks, chunk = blockIdx.z % chunks, from = chunk * kChunkPixels;
  const int64_t begin = first_instance[image], instances = first_instance[image + 1] - begin;
  multiply_tile({{dy + begin * pixels + from, pixels, 1},
                 {features + (image * pixels + from) * channels, 1, channels},
                 partial + (chunk * first_instance[images] + begin) * channels,
                 channels,
                 instances,
                 channels,
                 min(kChunkPixels, pixels - from)},
                blockIdx.y, blockIdx.x);
}

__global__ void __launch_bounds__(kDynamicConvThreads)
    add_chunks(const float* partial, int64_t chunks, int64_t count, float* dkernels) {
  for_each_element(count, [&](int64_t i) {
    float sum = 0.0f;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * count + i];
    dkernels[i] = sum;
  });
}

int64_t most_instances(std::span<const int64_t> first_instance) {
  int64_t most = 0;
  for (size_t n = 0; n + 1 < first_instance.size(); ++n) {
    most = std::max(most, first_instance[n + 1] - first_instance[n]);
  }
  return most;
}

// y over `rows`, x over `columns`, z over `depth`.
dim3 tiles(int64_t rows, int64_t columns, int64_t depth) {
  return {static_cast<unsigned>(ceil_div<int64_t>(columns, kTile)),
          static_cast<unsigned>(ceil_div<int64_t>(rows, kTile)), static_cast<unsigned>(depth)};
}

}  // namespace

void dynamic_conv_forward(DeviceContext& context, const DynamicConvForwardArgs& args) {
  const auto images = static_cast<int64_t>(args.first_instance.size()) - 1;
  const DeviceArray<int64_t> first_instance(context, args.first_instance.data(), images + 1);
  launch(masks_kernel, tiles(most_instances(args.first_instance), args.pixels, images), kDynamicConvThreads, 0, context,
         first_instance.data(), args.features, args.kernels, args.y, args.pixels, args.channels);
}

void dynamic_conv_backward(DeviceContext& context, const DynamicConvBackwardArgs& args) {
  const auto images = static_cast<int64_t>(args.first_instance.size()) - 1;
  const DeviceArray<int64_t> first_instance(context, args.first_instance.data(), images + 1);
  if (args.dfeatures != nullptr) {
    launch(feature_gradient, tiles(args.channels, args.pixels, images), kDynamicConvThreads, 0, context,
           first_instance.data(), args.dy, args.kernels, args.dfeatures, args.pixels, args.channels);
  }
  if (args.dkernels == nullptr) return;
  const int64_t chunks = ceil_div(args.pixels, kChunkPixels), count = args.first_instance.back() * args.channels;
  Scratch<float> partial(context, static_cast<size_t>(chunks * count));
  launch(kernel_gradient, tiles(most_instances(args.first_instance), args.channels, images * chunks),
         kDynamicConvThreads, 0, context, first_instance.data(), args.dy, args.features, partial.data(), images, chunks,
         args.pixels, args.channels);
  launch(add_chunks, grid_for(count, kDynamicConvThreads), kDynamicConvThreads, 0, context, partial.data(), chunks,
         count, args.dkernels);
}

}  // namespace tessera
