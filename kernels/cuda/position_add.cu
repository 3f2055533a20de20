// Forward: a thread adds four channels of a cell (one where C is no multiple of four), lanes along the channels, see
// channel_rows.h; 8 bytes per element, the tables stay in cache.
// Backward: sums over the cells of a row, and of a column, in chunks, see column_sums.h; 4 bytes per element of dy
// each.
#include "kernels/position_add.h"

#include "kernels/cuda/channel_rows.h"
#include "kernels/cuda/column_sums.h"

namespace tessera {

namespace {

template <int width>
__global__ void __launch_bounds__(kRowThreads) add_positions(PositionAddForwardArgs args) {
  using Vector = Channels<width>;
  for_each_row_vector(args.images * args.height * args.width, args.channels / width, [&](int64_t cell, int64_t v) {
    const int64_t line = cell / args.width, j = cell - line * args.width, i = line % args.height;
    const int64_t c = v * width, at = cell * args.channels + c;
    Vector::map([](float x, float r, float k) { return x + r + k; }, Vector::load(args.x + at),
                Vector::load(args.row + i * args.channels + c), Vector::load(args.column + j * args.channels + c))
        .store(args.y + at);
  });
}

// Group i: all cells of row i, image after image.
struct RowTerm {
  PositionAddBackwardArgs args;
  __device__ void operator()(int64_t i, int64_t k, int64_t c, float (&sums)[1]) const {
    const int64_t image = k / args.width, j = k - image * args.width;
    sums[0] += args.dy[((image * args.height + i) * args.width + j) * args.channels + c];
  }
};

// Group j: all cells of column j.
struct ColumnTerm {
  PositionAddBackwardArgs args;
  __device__ void operator()(int64_t j, int64_t line, int64_t c, float (&sums)[1]) const {
    sums[0] += args.dy[(line * args.width + j) * args.channels + c];
  }
};

}  // namespace

void position_add_forward(DeviceContext& context, const PositionAddForwardArgs& args) {
  if (args.channels == 0) return;
  const bool vector = aligned4(args.channels, args.x, args.row, args.column, args.y);
  const dim3 block = row_block(vector ? args.channels / 4 : args.channels);
  launch(vector ? add_positions<4> : add_positions<1>, row_grid(args.images * args.height * args.width, block), block,
         0, context, args);
}

void position_add_backward(DeviceContext& context, const PositionAddBackwardArgs& args) {
  if (args.drow != nullptr) {
    launch_column_sums<1>(context, RowTerm{args}, {args.height, args.images * args.width, args.channels},
                          {{args.drow}});
  }
  if (args.dcolumn != nullptr) {
    launch_column_sums<1>(context, ColumnTerm{args}, {args.width, args.images * args.height, args.channels},
                          {{args.dcolumn}});
  }
}

}  // namespace tessera
