// Lanes along the columns, four each where widths, strides and addresses allow it, see channel_rows.h. 8 bytes per
// element: bandwidth is the limit.
#include "kernels/concat.h"

#include "kernels/cuda/channel_rows.h"

namespace tessera {

namespace {

template <int width>
__global__ void __launch_bounds__(kRowThreads) copy_kernel(CopyColumnsArgs args) {
  for_each_row_vector(args.rows, args.width / width, [&](int64_t row, int64_t v) {
    Channels<width>::load(args.source + row * args.source_stride + v * width)
        .store(args.destination + row * args.destination_stride + v * width);
  });
}

}  // namespace

void copy_columns(DeviceContext& context, const CopyColumnsArgs& args) {
  if (args.width == 0) return;
  const bool vector = args.width % 4 == 0 && aligned4(args.source_stride, args.source) &&
                      aligned4(args.destination_stride, args.destination);
  const dim3 block = row_block(vector ? args.width / 4 : args.width);
  launch(vector ? copy_kernel<4> : copy_kernel<1>, row_grid(args.rows, block), block, 0, context, args);
}

}  // namespace tessera
