// A first kernel finds the geometry of every region, one thread each.
// Forward: thread row = one bin, lanes along the channels, see channel_rows.h; four cached reads per sample, 4 bytes
// per element of y written: the second-level cache is the limit. Backward: a block of 32 x 8 threads owns 8
// neighbouring cells of a row and 32 vectors of channels. It looks at 256 regions together and keeps, in order, those
// that may read its cells; then every thread adds their bins to its cell. A sample reads each axis on its own, so a
// bin's weight at a cell is a product of two sums over samples. dy is read once per cell that it touches, through the
// cache; 4 bytes per element of dx written, no atomics.
#include "kernels/roi_align.h"

#include <cmath>

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kRoiAlignThreads = 256, kCells = 8;

struct RoiAxis {
  float start, bin;
  int32_t samples, extent;
  int32_t first, last;  // cells that may be read
};

struct Region {
  RoiAxis y, x;
  float inverse;  // of the number of samples of a bin
  int32_t image;  // -1: none
};

struct Tap {
  int32_t low, high;
  float weight;
  bool inside;
};

// floor(at), at least -2 and at most most + 1; -2 for what is not a number.
__device__ __forceinline__ int32_t floor_within(float at, int32_t most) {
  return static_cast<int32_t>(floorf(fminf(fmaxf(at, -2.0f), static_cast<float>(most) + 1.0f)));
}

__device__ RoiAxis find_axis(float from, float to, int64_t out, int64_t extent, const RoiAlignShape& shape) {
  RoiAxis axis;
  const float shift = shape.aligned ? 0.5f : 0.0f;
  axis.start = from * shape.scale - shift;
  float size = to * shape.scale - shift - axis.start;
  if (!shape.aligned && size < 1.0f) size = 1.0f;
  axis.bin = size / static_cast<float>(out);
  axis.extent = static_cast<int32_t>(extent);
  axis.samples = shape.sampling_ratio;
  if (axis.samples == 0)
    axis.samples = axis.bin > 0.0f ? static_cast<int32_t>(fminf(ceilf(axis.bin), kMostRoiSamples)) : 0;
  if (!(fabsf(axis.start) < INFINITY && fabsf(size) < INFINITY)) axis.samples = 0;
  const bool reads = axis.samples > 0;
  const int32_t low = floor_within(fminf(axis.start, axis.start + size), axis.extent) - 1;
  const int32_t high = floor_within(fmaxf(axis.start, axis.start + size), axis.extent) + 2;
  axis.first = reads && low > 0 ? low : 0;
  axis.last = !reads ? -1 : high < axis.extent - 1 ? high : axis.extent - 1;
  return axis;
}

__device__ __forceinline__ Tap tap_of(const RoiAxis& axis, int32_t at, int32_t sample) {
  const float place = axis.start + static_cast<float>(at) * axis.bin +
                      (static_cast<float>(sample) + 0.5f) * axis.bin / static_cast<float>(axis.samples);
  if (!(place >= -1.0f && place <= static_cast<float>(axis.extent))) return {0, 0, 0.0f, false};
  const float clamped = place > 0.0f ? place : 0.0f;
  const int32_t low = static_cast<int32_t>(clamped);
  if (low >= axis.extent - 1) return {axis.extent - 1, axis.extent - 1, 0.0f, true};
  return {low, low + 1, clamped - static_cast<float>(low), true};
}

// Sum of the weights with which the samples of a bin read a cell.
__device__ __forceinline__ float weight_of(const RoiAxis& axis, int32_t at, int32_t cell) {
  float sum = 0.0f;
  for (int32_t sample = 0; sample < axis.samples; ++sample) {
    const Tap tap = tap_of(axis, at, sample);
    const float weight = (cell == tap.low ? 1.0f - tap.weight : 0.0f) + (cell == tap.high ? tap.weight : 0.0f);
    sum += tap.inside ? weight : 0.0f;
  }
  return sum;
}

struct BinRange {
  int32_t begin, end;
};

// Bins that may read a cell.
__device__ __forceinline__ BinRange bins_of(const RoiAxis& axis, int32_t cell, int32_t out) {
  if (!(axis.bin > 0.0f)) return {0, out};
  const float place = static_cast<float>(cell) - axis.start;
  const int32_t begin = floor_within((place - 1.0f) / axis.bin, out) - 1;
  const int32_t end = floor_within((place + 1.0f) / axis.bin, out) + 2;
  return {begin > 0 ? begin : 0, end < out ? end : out};
}

__global__ void __launch_bounds__(kRoiAlignThreads)
    find_regions(RoiAlignShape shape, const float* boxes, const int32_t* image_of, Region* regions) {
  for_each_element(shape.regions, [&](int64_t k) {
    const float* box = boxes + 4 * k;
    Region region{find_axis(box[1], box[3], shape.out_height, shape.height, shape),
                  find_axis(box[0], box[2], shape.out_width, shape.width, shape), 1.0f, image_of[k]};
    if (region.image < 0 || region.image >= shape.images) region.image = -1;
    const float samples = static_cast<float>(region.y.samples) * static_cast<float>(region.x.samples);
    if (samples > 1.0f) region.inverse = 1.0f / samples;
    regions[k] = region;
  });
}

template <int width>
__global__ void __launch_bounds__(kRowThreads) align_kernel(RoiAlignForwardArgs args, const Region* regions) {
  using Vector = Channels<width>;
  const RoiAlignShape& shape = args.shape;
  const int64_t bins = shape.out_height * shape.out_width;
  for_each_row_vector(shape.regions * bins, shape.channels / width, [&](int64_t row, int64_t v) {
    const int64_t k = row / bins;
    const int32_t bin = static_cast<int32_t>(row - k * bins), by = bin / static_cast<int32_t>(shape.out_width);
    const int32_t bx = bin - by * static_cast<int32_t>(shape.out_width);
    const Region region = regions[k];
    Vector sum = Vector::filled(region.image < 0 ? __uint_as_float(0x7fc00000u) : 0.0f);
    const int32_t rows = region.image < 0 ? 0 : region.y.samples;
    const float* map = args.x + region.image * shape.height * shape.width * shape.channels + v * width;
    for (int32_t i = 0; i < rows; ++i) {
      const Tap y = tap_of(region.y, by, i);
      for (int32_t j = 0; j < region.x.samples; ++j) {
        const Tap x = tap_of(region.x, bx, j);
        if (!y.inside || !x.inside) continue;
        const auto cell = [&](int32_t cell_y, int32_t cell_x) {
          return Vector::load(map + (int64_t{cell_y} * shape.width + cell_x) * shape.channels);
        };
        const float wa = (1.0f - y.weight) * (1.0f - x.weight), wb = (1.0f - y.weight) * x.weight;
        const float wc = y.weight * (1.0f - x.weight), wd = y.weight * x.weight;
        sum = Vector::map(
            [&](float s, float a, float b, float c, float d) { return s + (wa * a + wb * b + wc * c + wd * d); }, sum,
            cell(y.low, x.low), cell(y.low, x.high), cell(y.high, x.low), cell(y.high, x.high));
      }
    }
    Vector::map([&](float s) { return s * region.inverse; }, sum).store(args.y + row * shape.channels + v * width);
  });
}

// Block (8 cells of a row, row, image and 32 vectors of channels).
template <int width>
__global__ void __launch_bounds__(kRoiAlignThreads) gradient_kernel(RoiAlignBackwardArgs args, const Region* regions) {
  using Vector = Channels<width>;
  SHARED(near, int32_t[kRoiAlignThreads]);  // regions that may read these cells, ascending
  SHARED(near_of_warp, int[kRoiAlignThreads / 32]);
  const RoiAlignShape& shape = args.shape;
  const int64_t vectors = shape.channels / width;
  const int64_t groups = ceil_div<int64_t>(vectors, 32), image = blockIdx.z / groups;
  const int64_t v = blockIdx.z % groups * 32 + threadIdx.x;
  const int32_t y = static_cast<int32_t>(blockIdx.y), first_x = static_cast<int32_t>(blockIdx.x) * kCells;
  const int32_t x = first_x + static_cast<int32_t>(threadIdx.y);
  const bool inside = x < shape.width && v < vectors;
  const int32_t out_height = static_cast<int32_t>(shape.out_height), out_width = static_cast<int32_t>(shape.out_width);
  Vector sum = Vector::filled(0.0f);
  for (int64_t begin = 0; begin < shape.regions; begin += kRoiAlignThreads) {
    const int64_t candidate = begin + thread_of_block();
    bool reads = false;
    if (candidate < shape.regions) {
      const Region& region = regions[candidate];
      reads = region.image == image && region.y.first <= y && y <= region.y.last && region.x.first < first_x + kCells &&
              first_x <= region.x.last;
    }
    const unsigned votes = __ballot_sync(kWholeWarp, reads);
    if (lane_of_warp() == 0) near_of_warp[warp_of_block()] = __popc(votes);
    __syncthreads();
    int place = __popc(votes & ((1u << lane_of_warp()) - 1u)), count = 0;
    for (int warp = 0; warp < kRoiAlignThreads / 32; ++warp) {
      place += warp < warp_of_block() ? near_of_warp[warp] : 0;
      count += near_of_warp[warp];
    }
    if (reads) near[place] = static_cast<int32_t>(candidate);
    __syncthreads();
    for (int i = 0; inside && i < count; ++i) {
      const int64_t k = near[i];
      const Region region = regions[k];
      const BinRange rows = bins_of(region.y, y, out_height), columns = bins_of(region.x, x, out_width);
      for (int32_t by = rows.begin; by < rows.end; ++by) {
        const float of_row = weight_of(region.y, by, y) * region.inverse;
        if (of_row == 0.0f) continue;
        for (int32_t bx = columns.begin; bx < columns.end; ++bx) {
          const float weight = of_row * weight_of(region.x, bx, x);
          if (weight == 0.0f) continue;
          const float* dy = args.dy + ((k * out_height + by) * out_width + bx) * shape.channels + v * width;
          sum = Vector::map([&](float s, float gradient) { return s + weight * gradient; }, sum, Vector::load(dy));
        }
      }
    }
    __syncthreads();  // before the list is made anew
  }
  if (!inside) return;
  sum.store(args.dx + ((image * shape.height + y) * shape.width + x) * shape.channels + v * width);
}

}  // namespace

void roi_align_forward(DeviceContext& context, const RoiAlignForwardArgs& args) {
  const RoiAlignShape& shape = args.shape;
  if (shape.channels == 0) return;
  Scratch<Region> regions(context, static_cast<size_t>(shape.regions));
  launch(find_regions, grid_for(shape.regions, kRoiAlignThreads), kRoiAlignThreads, 0, context, shape, args.boxes,
         args.image_of, regions.data());
  const bool vector = aligned4(shape.channels, args.x, args.y);
  const dim3 block = row_block(vector ? shape.channels / 4 : shape.channels);
  launch(vector ? align_kernel<4> : align_kernel<1>,
         row_grid(shape.regions * shape.out_height * shape.out_width, block), block, 0, context, args, regions.data());
}

void roi_align_backward(DeviceContext& context, const RoiAlignBackwardArgs& args) {
  const RoiAlignShape& shape = args.shape;
  Scratch<Region> regions(context, static_cast<size_t>(shape.regions));
  launch(find_regions, grid_for(shape.regions, kRoiAlignThreads), kRoiAlignThreads, 0, context, shape, args.boxes,
         args.image_of, regions.data());
  const bool vector = aligned4(shape.channels, args.dy, args.dx);
  const int64_t groups = ceil_div<int64_t>(vector ? shape.channels / 4 : shape.channels, 32);
  launch(vector ? gradient_kernel<4> : gradient_kernel<1>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(shape.width, kCells)), static_cast<unsigned>(shape.height),
              static_cast<unsigned>(shape.images * groups)),
         dim3(32, kCells), 0, context, args, regions.data());
}

}  // namespace tessera
