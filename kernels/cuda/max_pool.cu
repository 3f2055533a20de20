// Forward: a thread owns an output pixel and four channels (one where C is no multiple of four), lanes along the
// channels, see channel_rows.h. It reads its window once, in reading order, and keeps maximum and place in registers.
// Backward: a thread owns an input pixel and its channels and gathers from the windows that contain it, in a fixed
// order. Forward reads 4 bytes per input element (neighbouring windows share through the cache) and writes 5 per output
// element; backward reads those 5 and writes 4 per input element. Bandwidth is the limit.
#include "kernels/max_pool.h"

#include "kernels/cuda/channel_rows.h"

namespace tessera {

namespace {

// The places of `width` channels, stored at once.
template <int width>
__device__ __forceinline__ void store_places(uint8_t* address, const int (&place)[width]) {
  if constexpr (width == 4) {
    *reinterpret_cast<uchar4*>(address) =
        make_uchar4(static_cast<unsigned char>(place[0]), static_cast<unsigned char>(place[1]),
                    static_cast<unsigned char>(place[2]), static_cast<unsigned char>(place[3]));
  } else {
    *address = static_cast<uint8_t>(place[0]);
  }
}

template <int width>
__device__ __forceinline__ void load_places(const uint8_t* address, int (&place)[width]) {
  if constexpr (width == 4) {
    const uchar4 v = *reinterpret_cast<const uchar4*>(address);
    place[0] = v.x, place[1] = v.y, place[2] = v.z, place[3] = v.w;
  } else {
    place[0] = *address;
  }
}

template <int width>
__device__ __forceinline__ void load_values(const float* address, float (&value)[width]) {
  if constexpr (width == 4) {
    const float4 v = load4(address);
    value[0] = v.x, value[1] = v.y, value[2] = v.z, value[3] = v.w;
  } else {
    value[0] = *address;
  }
}

template <int width>
__device__ __forceinline__ void store_values(float* address, const float (&value)[width]) {
  if constexpr (width == 4) {
    store4(address, make_float4(value[0], value[1], value[2], value[3]));
  } else {
    *address = value[0];
  }
}

// Ties go to the first cell in reading order; a NaN wins over every number.
template <int width>
__global__ void __launch_bounds__(kRowThreads) max_pool_kernel(MaxPoolForwardArgs args) {
  const MaxPoolShape& s = args.shape;
  for_each_row_vector(s.images * s.out_height * s.out_width, s.channels / width, [&](int64_t pixel, int64_t vector) {
    const int64_t row = pixel / s.out_width, image = row / s.out_height;
    const int64_t top = (row - image * s.out_height) * s.stride - s.padding;
    const int64_t left = (pixel - row * s.out_width) * s.stride - s.padding;
    const int64_t last_v = min(s.window, s.height - top), last_u = min(s.window, s.width - left);
    const float* map = args.x + image * s.height * s.width * s.channels + vector * width;
    float largest[width];
    int place[width];
#pragma unroll
    for (int c = 0; c < width; ++c) {
      largest[c] = -__uint_as_float(0x7f800000u);
      place[c] = -1;
    }
    for (int64_t v = max(int64_t{0}, -top); v < last_v; ++v) {
      for (int64_t u = max(int64_t{0}, -left); u < last_u; ++u) {
        float x[width];
        load_values(map + ((top + v) * s.width + left + u) * s.channels, x);
#pragma unroll
        for (int c = 0; c < width; ++c) {
          // The first cell takes its place even if it is minus infinity.
          const bool larger = x[c] > largest[c] || x[c] != x[c] || place[c] < 0;
          largest[c] = larger ? x[c] : largest[c];
          place[c] = larger ? static_cast<int>(v * s.window + u) : place[c];
        }
      }
    }
    const int64_t at = pixel * s.channels + vector * width;
    store_values(args.y + at, largest);
    if (args.winner != nullptr) store_places(args.winner + at, place);
  });
}

template <int width>
__global__ void __launch_bounds__(kRowThreads) max_pool_gradient(MaxPoolBackwardArgs args) {
  const MaxPoolShape& s = args.shape;
  for_each_row_vector(s.images * s.height * s.width, s.channels / width, [&](int64_t pixel, int64_t vector) {
    const int64_t row = pixel / s.width, image = row / s.height;
    const int64_t y = row - image * s.height + s.padding, x = pixel - row * s.width + s.padding;
    // The windows that contain this pixel: oy * stride <= y < oy * stride + window.
    const int64_t first_oy = max(int64_t{0}, y - s.window + s.stride) / s.stride;
    const int64_t first_ox = max(int64_t{0}, x - s.window + s.stride) / s.stride;
    float sum[width] = {};
    for (int64_t oy = first_oy; oy < s.out_height && oy * s.stride <= y; ++oy) {
      for (int64_t ox = first_ox; ox < s.out_width && ox * s.stride <= x; ++ox) {
        const int64_t at = ((image * s.out_height + oy) * s.out_width + ox) * s.channels + vector * width;
        const int here = static_cast<int>((y - oy * s.stride) * s.window + x - ox * s.stride);
        int place[width];
        float dy[width];
        load_places(args.winner + at, place);
        load_values(args.dy + at, dy);
#pragma unroll
        for (int c = 0; c < width; ++c) sum[c] += place[c] == here ? dy[c] : 0.0f;
      }
    }
    store_values(args.dx + pixel * s.channels + vector * width, sum);
  });
}

bool places_aligned(const uint8_t* winner) { return reinterpret_cast<uintptr_t>(winner) % 4 == 0; }

template <typename Args>
void launch_pixels(DeviceContext& context, void (*kernel)(Args), const Args& args, int64_t pixels, int64_t vectors) {
  if (vectors == 0) return;
  const dim3 block = row_block(vectors);
  launch(kernel, row_grid(pixels, block), block, 0, context, args);
}

}  // namespace

void max_pool_forward(DeviceContext& context, const MaxPoolForwardArgs& args) {
  const MaxPoolShape& s = args.shape;
  const bool vector = aligned4(s.channels, args.x, args.y) && places_aligned(args.winner);
  launch_pixels(context, vector ? max_pool_kernel<4> : max_pool_kernel<1>, args, s.images * s.out_height * s.out_width,
                vector ? s.channels / 4 : s.channels);
}

void max_pool_backward(DeviceContext& context, const MaxPoolBackwardArgs& args) {
  const MaxPoolShape& s = args.shape;
  const bool vector = aligned4(s.channels, args.dy, args.dx) && places_aligned(args.winner);
  launch_pixels(context, vector ? max_pool_gradient<4> : max_pool_gradient<1>, args, s.images * s.height * s.width,
                vector ? s.channels / 4 : s.channels);
}

}  // namespace tessera
