// Four tables hold the taps of both resizes along both axes. A thread owns a byte of the result, eight neighbouring
// pixels; each takes four samples of the enlarged map, and these four values of the map each, as probabilities that a
// first kernel has computed once. Maps are small, so the sixteen reads per pixel come from the cache, and about 60
// operations per pixel are the limit.
#include "kernels/mask_enlarge.h"

#include "kernels/cuda/bilinear_taps.h"
#include "kernels/cuda/elementwise.h"

namespace tessera {

namespace {

constexpr int kMaskEnlargeThreads = 128;

struct Probability {
  __device__ float operator()(float logit) const { return 1.0f / (1.0f + expf(-logit)); }
};

struct MaskTables {
  const Tap* map_rows;  // of the enlarged input, as far as it is not padding
  const Tap* map_columns;
  const Tap* rows;  // of the original picture
  const Tap* columns;
};

__device__ __forceinline__ float blend(float low, float high, float weight) { return low + weight * (high - low); }

__device__ float enlarged(const float* map, int64_t width, const Tap& down, const Tap& across) {
  const float* low = map + down.low * width;
  const float* high = map + down.high * width;
  const float left = blend(low[across.low], high[across.low], down.weight);
  const float right = blend(low[across.high], high[across.high], down.weight);
  return blend(left, right, across.weight);
}

// Grid: x over the bytes of a row, y over the rows of all masks.
__global__ void __launch_bounds__(kMaskEnlargeThreads)
    enlarge_kernel(MaskEnlargeArgs args, const float* probabilities, MaskTables tables, int64_t row_bytes) {
  const int64_t byte = int64_t{blockIdx.x} * kMaskEnlargeThreads + threadIdx.x;
  if (byte >= row_bytes) return;
  const int64_t step = int64_t{gridDim.y};
  for (int64_t row = blockIdx.y; row < args.count * args.out_height; row += step) {
    const int64_t mask = row / args.out_height, y = row - mask * args.out_height;
    const float* map = probabilities + mask * args.height * args.width;
    const Tap down = tables.rows[y], upper = tables.map_rows[down.low], lower = tables.map_rows[down.high];
    unsigned bits = 0;
    for (int bit = 0; bit < 8; ++bit) {
      const int64_t x = 8 * byte + bit;
      if (x >= args.out_width) break;
      const Tap across = tables.columns[x];
      const Tap left = tables.map_columns[across.low], right = tables.map_columns[across.high];
      const float at_left =
          blend(enlarged(map, args.width, upper, left), enlarged(map, args.width, lower, left), down.weight);
      const float at_right =
          blend(enlarged(map, args.width, upper, right), enlarged(map, args.width, lower, right), down.weight);
      bits |= static_cast<unsigned>(blend(at_left, at_right, across.weight) > args.threshold) << bit;
    }
    args.bits[row * row_bytes + byte] = static_cast<uint8_t>(bits);
  }
}

}  // namespace

void mask_enlarge(DeviceContext& context, const MaskEnlargeArgs& args) {
  const int64_t values = args.count * args.height * args.width, rows = args.count * args.out_height;
  const int64_t row_bytes = ceil_div<int64_t>(args.out_width, 8);
  if (rows == 0) return;
  Scratch<float> probabilities(context, static_cast<size_t>(values));
  launch_elementwise(context, Probability{}, probabilities.data(), values, args.logits);
  const TapTable map_rows(context, args.height, args.height * args.stride, args.cut_height);
  const TapTable map_columns(context, args.width, args.width * args.stride, args.cut_width);
  const TapTable table_rows(context, args.cut_height, args.out_height);
  const TapTable columns(context, args.cut_width, args.out_width);
  const dim3 grid(static_cast<unsigned>(ceil_div<int64_t>(row_bytes, kMaskEnlargeThreads)),
                  static_cast<unsigned>(rows < 65535 ? rows : 65535));
  launch(enlarge_kernel, grid, kMaskEnlargeThreads, 0, context, args, probabilities.data(),
         MaskTables{map_rows.data(), map_columns.data(), table_rows.data(), columns.data()}, row_bytes);
}

}  // namespace tessera
