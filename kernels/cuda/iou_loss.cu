// One thread per row: 36 bytes read and 16 written, about 60 operations. In double, as the differences of areas cancel;
// rows are the positive locations of a batch, a few thousand, so that even a GPU with few double units is done before
// the next launch could begin.
#include "kernels/iou_loss.h"

#include "kernels/cuda/loss_sum.h"

namespace tessera {

namespace {

constexpr int kIouLossThreads = 128;

struct Sides {
  float side[4];  // left, top, right, bottom

  __device__ explicit Sides(const float* row) {
#pragma unroll
    for (int i = 0; i < 4; ++i) side[i] = row[i];
  }
  __device__ double width() const { return double{side[0]} + side[2]; }
  __device__ double height() const { return double{side[1]} + side[3]; }
};

__device__ __forceinline__ float lesser(float a, float b) { return b < a ? b : a; }
__device__ __forceinline__ float greater(float a, float b) { return a < b ? b : a; }

// Sides of the intersection and the hull of two boxes around one point, and areas.
struct Overlap {
  double inner_width, inner_height, outer_width, outer_height;
  double intersection, united, hull;

  __device__ Overlap(const Sides& p, const Sides& t) {
    inner_width = double{lesser(p.side[0], t.side[0])} + lesser(p.side[2], t.side[2]);
    inner_height = double{lesser(p.side[1], t.side[1])} + lesser(p.side[3], t.side[3]);
    outer_width = double{greater(p.side[0], t.side[0])} + greater(p.side[2], t.side[2]);
    outer_height = double{greater(p.side[1], t.side[1])} + greater(p.side[3], t.side[3]);
    intersection = inner_width * inner_height;
    united = p.width() * p.height() + t.width() * t.height() - intersection;
    hull = outer_width * outer_height;
  }
};

// The loss of one row and its derivatives by intersection, union and hull.
struct RowLoss {
  double value, by_intersection, by_union, by_hull;
};

__device__ __forceinline__ RowLoss row_loss(const Overlap& o, const IouLossArgs& args) {
  // Two empty boxes without smoothing: nothing to compare.
  const double denominator = o.united + args.smoothing + args.epsilon;
  if (!(denominator > 0.0)) return {0.0, 0.0, 0.0, 0.0};
  const double iou = (o.intersection + args.smoothing) / denominator;
  if (args.kind == IouLossKind::iou) {
    constexpr double kLeast = 1e-7;  // -ln 0 of a collapsed prediction
    if (iou < kLeast) return {-log(kLeast), 0.0, 0.0, 0.0};
    return {-log(iou), -1.0 / (denominator * iou), 1.0 / denominator, 0.0};
  }
  RowLoss row{1.0 - iou, -1.0 / denominator, iou / denominator, 0.0};
  const double hull = o.hull + args.epsilon;
  if (args.kind == IouLossKind::giou && hull > 0.0) {
    const double waste = (o.hull - o.united) / hull;
    row.value += waste;
    row.by_union -= 1.0 / hull;
    row.by_hull = (1.0 - waste) / hull;
  }
  return row;
}

__global__ void __launch_bounds__(kIouLossThreads) iou_loss_kernel(IouLossArgs args, double* partial) {
  const int64_t at = int64_t{blockIdx.x} * kIouLossThreads + threadIdx.x;
  double sum = 0.0;
  if (at < args.rows) {
    const Sides p(args.predicted + 4 * at), t(args.target + 4 * at);
    const Overlap o(p, t);
    const RowLoss row = row_loss(o, args);
    sum = row.value * args.weights[at];
    if (args.gradient != nullptr) {
      const double factor = double{args.weights[at]} * args.scale, width = p.width(), height = p.height();
#pragma unroll
      for (int side = 0; side < 4; ++side) {
        const bool horizontal = side % 2 == 0;
        const float of_p = p.side[side], of_t = t.side[side];
        const double inside = of_p < of_t ? 1.0 : of_p == of_t ? 0.5 : 0.0;  // d min / d p
        const double intersection = inside * (horizontal ? o.inner_height : o.inner_width);
        const double area = horizontal ? height : width;
        const double hull = (1.0 - inside) * (horizontal ? o.outer_height : o.outer_width);
        args.gradient[4 * at + side] = static_cast<float>(
            factor * (row.by_intersection * intersection + row.by_union * (area - intersection) + row.by_hull * hull));
      }
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kIouLossThreads) distance_iou_kernel(DistanceIouArgs args) {
  for_each_element(args.rows, [&](int64_t at) {
    const Overlap o(Sides(args.predicted + 4 * at), Sides(args.target + 4 * at));
    args.iou[at] = static_cast<float>(o.intersection / (o.united < 1e-12 ? 1e-12 : o.united));
  });
}

}  // namespace

void iou_loss(DeviceContext& context, const IouLossArgs& args) {
  const int64_t blocks = ceil_div<int64_t>(args.rows, kIouLossThreads);
  Scratch<double> partial(context, static_cast<size_t>(blocks));
  launch(iou_loss_kernel, static_cast<unsigned>(blocks), kIouLossThreads, 0, context, args, partial.data());
  sum_loss(context, partial.data(), blocks, args.scale, args.loss);
}

void distance_iou(DeviceContext& context, const DistanceIouArgs& args) {
  launch(distance_iou_kernel, grid_for(args.rows, kIouLossThreads), kIouLossThreads, 0, context, args);
}

}  // namespace tessera
