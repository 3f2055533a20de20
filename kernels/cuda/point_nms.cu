// Lanes along the classes, several cells per block where classes are few, see channel_rows.h. Four reads per score,
// three of them from the cache, and one write: 8 bytes per score, bandwidth is the limit. Places are divided out once
// per cell.
#include "kernels/point_nms.h"

#include "kernels/cuda/channel_rows.h"

namespace tessera {

namespace {

__global__ void __launch_bounds__(kRowThreads) point_nms_kernel(PointNmsArgs args) {
  const int64_t line = args.width * args.classes;
  for_each_row_vector(args.images * args.height * args.width, args.classes, [&](int64_t cell, int64_t k) {
    const int64_t row = cell / args.width;
    const bool has_left = cell - row * args.width > 0, has_above = row % args.height > 0;
    const float* score = args.scores + cell * args.classes + k;
    float best = *score;
    const auto compare = [&](int64_t offset) { best = best < score[-offset] ? score[-offset] : best; };
    if (has_left) compare(args.classes);
    if (has_above) compare(line);
    if (has_left && has_above) compare(line + args.classes);
    args.kept[cell * args.classes + k] = *score >= best ? *score : 0.0f;
  });
}

}  // namespace

void point_nms(DeviceContext& context, const PointNmsArgs& args) {
  if (args.classes == 0) return;
  const dim3 block = row_block(args.classes);
  launch(point_nms_kernel, row_grid(args.images * args.height * args.width, block), block, 0, context, args);
}

}  // namespace tessera
