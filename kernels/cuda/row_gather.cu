// Forward: lanes along the channels, see channel_rows.h; 8 bytes per element of y. Backward: dx is cleared, then one
// warp per j looks whether an earlier j has the same target; if not, it adds all rows of that target in the order of j.
// count^2 / 32 comparisons per lane in all, on indices that stay in cache: cheaper than sorting for the few thousand
// rows a loss gathers. Moves 4 bytes per element of dx and 12 per element of dy.
#include "kernels/row_gather.h"

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/gathered_rows.h"

namespace tessera {

namespace {

constexpr int kWarps = 4;

template <int width>
__global__ void __launch_bounds__(kRowThreads) gather_kernel(RowGatherForwardArgs args) {
  using Vector = Channels<width>;
  for_each_row_vector(args.count, args.channels / width, [&](int64_t j, int64_t v) {
    const int64_t row = args.index[j];
    const bool exists = row >= 0 && row < args.rows;
    const Vector x =
        exists ? Vector::load(args.x + row * args.channels + v * width) : Vector::filled(__uint_as_float(0x7fc00000u));
    x.store(args.y + j * args.channels + v * width);
  });
}

__global__ void __launch_bounds__(32 * kWarps) sum_kernel(RowGatherBackwardArgs args) {
  const int64_t j = int64_t{blockIdx.x} * kWarps + warp_of_block();
  if (j >= args.count) return;
  const int32_t row = args.index[j];
  if (row < 0 || row >= args.rows) return;
  add_matching_rows(
      j, args.count, args.dx + row * args.channels, args.channels, [&](int64_t k) { return args.index[k] == row; },
      [&](int64_t k) { return args.dy + k * args.channels; });
}

}  // namespace

void row_gather_forward(DeviceContext& context, const RowGatherForwardArgs& args) {
  if (args.channels == 0) return;
  const bool vector = aligned4(args.channels, args.x, args.y);
  const dim3 block = row_block(vector ? args.channels / 4 : args.channels);
  launch(vector ? gather_kernel<4> : gather_kernel<1>, row_grid(args.count, block), block, 0, context, args);
}

void row_gather_backward(DeviceContext& context, const RowGatherBackwardArgs& args) {
  memory_zero(context, args.dx, static_cast<size_t>(args.rows * args.channels) * sizeof(float));
  launch(sum_kernel, static_cast<unsigned>(ceil_div(args.count, kWarps)), 32 * kWarps, 0, context, args);
}

}  // namespace tessera
