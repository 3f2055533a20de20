// Forward: lanes along the channels, see channel_rows.h; 8 bytes per element of y. Backward: dx is cleared, then every
// row that is named gets the sum of its list (row_lists.h): 4 bytes per element of dx and of dy, and the lists.
#include "kernels/row_gather.h"

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/row_lists.h"

namespace tessera {

namespace {

// The row that an index names.
struct NamedRow {
  const int32_t* index;
  int64_t rows;

  __device__ int64_t row(int64_t j) const { return index[j] < rows ? index[j] : -1; }
};

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

}  // namespace

void row_gather_forward(DeviceContext& context, const RowGatherForwardArgs& args) {
  if (args.channels == 0) return;
  const bool vector = aligned4(args.channels, args.x, args.y);
  const dim3 block = row_block(vector ? args.channels / 4 : args.channels);
  launch(vector ? gather_kernel<4> : gather_kernel<1>, row_grid(args.count, block), block, 0, context, args);
}

void row_gather_backward(DeviceContext& context, const RowGatherBackwardArgs& args) {
  memory_zero(context, args.dx, static_cast<size_t>(args.rows * args.channels) * sizeof(float));
  sum_rows(context, NamedRow{args.index, args.rows}, args.count, args.rows, args.dy, args.dx, args.channels);
}

}  // namespace tessera
