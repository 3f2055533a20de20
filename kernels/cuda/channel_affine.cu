// Lanes along the channels, four each where C is a multiple of four, and several rows per block, see channel_rows.h.
// Forward moves 8 bytes per element, backward 8, or 12 with the ReLU; scale and shift stay in cache. One multiply-add
// per element: bandwidth is the limit.
#include "kernels/channel_affine.h"

#include "kernels/cuda/channel_rows.h"

namespace tessera {

namespace {

template <int width, bool relu>
__global__ void __launch_bounds__(kRowThreads) affine_forward(ChannelAffineForwardArgs args) {
  using Vector = Channels<width>;
  for_each_row_vector(args.rows, args.channels / width, [&](int64_t row, int64_t v) {
    const int64_t c = v * width, at = row * args.channels + c;
    Vector::map(
        [](float x, float scale, float shift) {
          const float y = x * scale + shift;
          return relu && y < 0.0f ? 0.0f : y;
        },
        Vector::load(args.x + at), Vector::load(args.scale + c), Vector::load(args.shift + c))
        .store(args.y + at);
  });
}

template <int width, bool relu>
__global__ void __launch_bounds__(kRowThreads) affine_backward(ChannelAffineBackwardArgs args) {
  using Vector = Channels<width>;
  for_each_row_vector(args.rows, args.channels / width, [&](int64_t row, int64_t v) {
    const int64_t c = v * width, at = row * args.channels + c;
    const Vector dy = Vector::load(args.dy + at), scale = Vector::load(args.scale + c);
    const Vector y = relu ? Vector::load(args.y + at) : Vector::filled(1.0f);
    Vector::map([](float d, float s, float output) { return output > 0.0f ? d * s : 0.0f; }, dy, scale, y)
        .store(args.dx + at);
  });
}

template <typename Args>
void launch_rows(DeviceContext& context, void (*kernel)(Args), int width, const Args& args) {
  const dim3 block = row_block(args.channels / width);
  launch(kernel, args.channels == 0 ? 0 : row_grid(args.rows, block), block, 0, context, args);
}

}  // namespace

void channel_affine_forward(DeviceContext& context, const ChannelAffineForwardArgs& args) {
  if (aligned4(args.channels, args.x, args.scale, args.shift, args.y)) {
    launch_rows(context, args.relu ? affine_forward<4, true> : affine_forward<4, false>, 4, args);
  } else {
    launch_rows(context, args.relu ? affine_forward<1, true> : affine_forward<1, false>, 1, args);
  }
}

void channel_affine_backward(DeviceContext& context, const ChannelAffineBackwardArgs& args) {
  const bool relu = args.y != nullptr;
  if (aligned4(args.channels, args.y, args.scale, args.dy, args.dx)) {
    launch_rows(context, relu ? affine_backward<4, true> : affine_backward<4, false>, 4, args);
  } else {
    launch_rows(context, relu ? affine_backward<1, true> : affine_backward<1, false>, 1, args);
  }
}

}  // namespace tessera
