// Every kernel: a thread owns a pixel and four channels (one where C is no multiple of four), lanes along the channels,
// see channel_rows.h.
//   nearest   forward:  one read, an addition at most, one write: 8 or 12 bytes per element of y
//             backward: the rectangle of output pixels that read the input pixel: 4 bytes per element of dy and of dx
//   bilinear  a small kernel tabulates the two neighbours of every output row and column, in double, and, for backward,
//             which outputs read each input row and column;
//             forward:  four reads (neighbours share through the cache), three blends, one write
//             backward: sums over the readers. Each dy is read by the at most four pixels it came from, through the
//             cache
// Bandwidth is the limit.
#include "kernels/resize.h"

#include "kernels/cuda/bilinear_taps.h"
#include "kernels/cuda/channel_rows.h"

namespace tessera {

namespace {

// The outputs [begin, end) that read an input position.
struct Readers {
  int32_t begin, end;
};

// low and high of the taps ascend, so the readers of i lie between the first whose high reaches i and the last whose
// low does not pass it.
__global__ void __launch_bounds__(kTapThreads)
    tabulate_readers(const Tap* taps, int64_t in, int64_t out, Readers* readers) {
  for_each_element(in, [&](int64_t i) {
    const auto first_where = [&](auto&& holds) {
      int64_t low = 0, high = out;
      while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (holds(taps[middle])) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      return static_cast<int32_t>(low);
    };
    readers[i] = {first_where([&](const Tap& tap) { return tap.high >= i; }),
                  first_where([&](const Tap& tap) { return tap.low > i; })};
  });
}

__device__ __forceinline__ float weight_of(const Tap& tap, int64_t i) {
  return (tap.low == i ? 1.0f - tap.weight : 0.0f) + (tap.high == i ? tap.weight : 0.0f);
}

// Row and column of a pixel of maps with these extents.
struct Place {
  int64_t image, y, x;
};

__device__ __forceinline__ Place place_of(int64_t pixel, int64_t height, int64_t width) {
  const int64_t row = pixel / width, image = row / height;
  return {image, row - image * height, pixel - row * width};
}

template <int width>
__device__ __forceinline__ Channels<width> blend(const Channels<width>& low, const Channels<width>& high,
                                                 float weight) {
  return Channels<width>::map([weight](float a, float b) { return a + weight * (b - a); }, low, high);
}

template <int width>
__device__ __forceinline__ Channels<width> added(const Channels<width>& sum, float weight,
                                                 const Channels<width>& term) {
  return Channels<width>::map([weight](float a, float b) { return a + weight * b; }, sum, term);
}

template <int width>
__global__ void __launch_bounds__(kRowThreads)
    bilinear_kernel(ResizeForwardArgs args, const Tap* vertical, const Tap* horizontal) {
  using Vector = Channels<width>;
  const ResizeExtents& at = args.extents;
  for_each_row_vector(at.images * at.out_height * at.out_width, at.channels / width, [&](int64_t pixel, int64_t v) {
    const Place place = place_of(pixel, at.out_height, at.out_width);
    const Tap down = vertical[place.y], across = horizontal[place.x];
    const float* image = args.x + place.image * at.in_height * at.in_width * at.channels + v * width;
    const float* top = image + down.low * at.in_width * at.channels;
    const float* bottom = image + down.high * at.in_width * at.channels;
    const int64_t left = across.low * at.channels, right = across.high * at.channels;
    const Vector low = blend(Vector::load(top + left), Vector::load(bottom + left), down.weight);
    const Vector high = blend(Vector::load(top + right), Vector::load(bottom + right), down.weight);
    blend(low, high, across.weight).store(args.y + pixel * at.channels + v * width);
  });
}

struct BilinearTables {
  const Tap* vertical;
  const Tap* horizontal;
  const Readers* rows;
  const Readers* columns;
};

template <int width>
__global__ void __launch_bounds__(kRowThreads) bilinear_gradient(ResizeBackwardArgs args, BilinearTables tables) {
  using Vector = Channels<width>;
  const ResizeExtents& at = args.extents;
  for_each_row_vector(at.images * at.in_height * at.in_width, at.channels / width, [&](int64_t pixel, int64_t v) {
    const Place place = place_of(pixel, at.in_height, at.in_width);
    const Readers rows = tables.rows[place.y], columns = tables.columns[place.x];
    const float* image = args.dy + place.image * at.out_height * at.out_width * at.channels + v * width;
    Vector sum = Vector::filled(0.0f);
    for (int64_t y = rows.begin; y < rows.end; ++y) {
      Vector row = Vector::filled(0.0f);
      for (int64_t x = columns.begin; x < columns.end; ++x) {
        row = added(row, weight_of(tables.horizontal[x], place.x),
                    Vector::load(image + (y * at.out_width + x) * at.channels));
      }
      sum = added(sum, weight_of(tables.vertical[y], place.y), row);
    }
    sum.store(args.dx + pixel * at.channels + v * width);
  });
}

template <int width>
__global__ void __launch_bounds__(kRowThreads) nearest_kernel(ResizeForwardArgs args) {
  using Vector = Channels<width>;
  const ResizeExtents& at = args.extents;
  for_each_row_vector(at.images * at.out_height * at.out_width, at.channels / width, [&](int64_t pixel, int64_t v) {
    const Place place = place_of(pixel, at.out_height, at.out_width);
    const int64_t y = place.y * at.in_height / at.out_height, x = place.x * at.in_width / at.out_width;
    const int64_t from = ((place.image * at.in_height + y) * at.in_width + x) * at.channels + v * width;
    const int64_t to = pixel * at.channels + v * width;
    Vector value = Vector::load(args.x + from);
    if (args.addend != nullptr) value = added(value, 1.0f, Vector::load(args.addend + to));
    value.store(args.y + to);
  });
}

// floor(dst * in / out) == i  <=>  ceil(i * out / in) <= dst < ceil((i + 1) * out / in). The second bound follows from
// the remainder of the first, in 32 bits: divisions of 64 bits are calls, and values that live across them cost
// registers.
__device__ __forceinline__ Readers nearest_readers(int64_t i, int64_t in, int64_t out) {
  const int64_t whole = i * out / in;
  const uint32_t rest = static_cast<uint32_t>(i * out - whole * in);
  const uint32_t last = (rest + static_cast<uint32_t>(out) + static_cast<uint32_t>(in) - 1) / static_cast<uint32_t>(in);
  return {static_cast<int32_t>(whole + (rest != 0)), static_cast<int32_t>(whole + last)};
}

template <int width>
__global__ void __launch_bounds__(kRowThreads) nearest_gradient(ResizeBackwardArgs args) {
  using Vector = Channels<width>;
  const ResizeExtents& at = args.extents;
  for_each_row_vector(at.images * at.in_height * at.in_width, at.channels / width, [&](int64_t pixel, int64_t v) {
    const Place place = place_of(pixel, at.in_height, at.in_width);
    const Readers rows = nearest_readers(place.y, at.in_height, at.out_height);
    const Readers columns = nearest_readers(place.x, at.in_width, at.out_width);
    const float* image = args.dy + place.image * at.out_height * at.out_width * at.channels + v * width;
    Vector sum = Vector::filled(0.0f);
    for (int64_t y = rows.begin; y < rows.end; ++y) {
      for (int64_t x = columns.begin; x < columns.end; ++x) {
        sum = added(sum, 1.0f, Vector::load(image + (y * at.out_width + x) * at.channels));
      }
    }
    sum.store(args.dx + pixel * at.channels + v * width);
  });
}

template <typename... Parameters, typename... Arguments>
void launch_pixels(DeviceContext& context, void (*kernel)(Parameters...), int64_t pixels, int64_t vectors,
                   const Arguments&... arguments) {
  if (vectors == 0) return;
  const dim3 block = row_block(vectors);
  launch(kernel, row_grid(pixels, block), block, 0, context, arguments...);
}

void launch_readers(DeviceContext& context, const TapTable& taps, int64_t in, int64_t out,
                    const Scratch<Readers>& readers) {
  launch(tabulate_readers, grid_for(in, kTapThreads), kTapThreads, 0, context, taps.data(), in, out, readers.data());
}

int64_t out_pixels(const ResizeExtents& at) { return at.images * at.out_height * at.out_width; }
int64_t in_pixels(const ResizeExtents& at) { return at.images * at.in_height * at.in_width; }

}  // namespace

void resize_bilinear_forward(DeviceContext& context, const ResizeForwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const TapTable vertical(context, at.in_height, at.out_height);
  const TapTable horizontal(context, at.in_width, at.out_width);
  const bool vector = aligned4(at.channels, args.x, args.y);
  launch_pixels(context, vector ? bilinear_kernel<4> : bilinear_kernel<1>, out_pixels(at),
                vector ? at.channels / 4 : at.channels, args, vertical.data(), horizontal.data());
}

void resize_bilinear_backward(DeviceContext& context, const ResizeBackwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const TapTable vertical(context, at.in_height, at.out_height);
  const TapTable horizontal(context, at.in_width, at.out_width);
  const Scratch<Readers> rows(context, static_cast<size_t>(at.in_height));
  const Scratch<Readers> columns(context, static_cast<size_t>(at.in_width));
  launch_readers(context, vertical, at.in_height, at.out_height, rows);
  launch_readers(context, horizontal, at.in_width, at.out_width, columns);
  const bool vector = aligned4(at.channels, args.dy, args.dx);
  launch_pixels(context, vector ? bilinear_gradient<4> : bilinear_gradient<1>, in_pixels(at),
                vector ? at.channels / 4 : at.channels, args,
                BilinearTables{vertical.data(), horizontal.data(), rows.data(), columns.data()});
}

void resize_nearest_forward(DeviceContext& context, const ResizeForwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const bool vector = aligned4(at.channels, args.x, args.addend, args.y);
  launch_pixels(context, vector ? nearest_kernel<4> : nearest_kernel<1>, out_pixels(at),
                vector ? at.channels / 4 : at.channels, args);
}

void resize_nearest_backward(DeviceContext& context, const ResizeBackwardArgs& args) {
  const ResizeExtents& at = args.extents;
  const bool vector = aligned4(at.channels, args.dy, args.dx);
  launch_pixels(context, vector ? nearest_gradient<4> : nearest_gradient<1>, in_pixels(at),
                vector ? at.channels / 4 : at.channels, args);
}

}  // namespace tessera
