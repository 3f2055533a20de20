#include "kernels/iou_loss.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cpu/chunked_sum.h"

namespace tessera {

namespace {

// Sides of the intersection, the union and the hull of two boxes around one point.
struct Overlap {
  double inner_width, inner_height, outer_width, outer_height, area;  // area: of the predicted box
  double intersection, united, hull;
};

Overlap overlap_of(const float* p, const float* t) {
  Overlap o{};
  o.inner_width = double{std::min(p[0], t[0])} + std::min(p[2], t[2]);
  o.inner_height = double{std::min(p[1], t[1])} + std::min(p[3], t[3]);
  o.outer_width = double{std::max(p[0], t[0])} + std::max(p[2], t[2]);
  o.outer_height = double{std::max(p[1], t[1])} + std::max(p[3], t[3]);
  o.area = (double{p[0]} + p[2]) * (double{p[1]} + p[3]);
  o.intersection = o.inner_width * o.inner_height;
  o.united = o.area + (double{t[0]} + t[2]) * (double{t[1]} + t[3]) - o.intersection;
  o.hull = o.outer_width * o.outer_height;
  return o;
}

// d loss / d(I, U, H) of one row and the loss itself.
struct RowLoss {
  double value, by_intersection, by_union, by_hull;
};

RowLoss row_loss(const Overlap& o, const IouLossArgs& args) {
  // Two empty boxes without smoothing: nothing to compare.
  const double denominator = o.united + args.smoothing + args.epsilon;
  if (!(denominator > 0)) return {0, 0, 0, 0};
  const double iou = (o.intersection + args.smoothing) / denominator;
  const double iou_by_union = -iou / denominator;
  if (args.kind == IouLossKind::iou) {
    const double bounded = std::max(iou, 1e-7);  // -ln 0 of a collapsed prediction
    if (bounded > iou) return {-std::log(bounded), 0, 0, 0};
    return {-std::log(iou), -1.0 / (denominator * iou), -iou_by_union / iou, 0};
  }
  RowLoss row{1.0 - iou, -1.0 / denominator, -iou_by_union, 0};
  const double hull = o.hull + args.epsilon;
  if (args.kind == IouLossKind::giou && hull > 0) {
    row.value += (o.hull - o.united) / hull;
    row.by_union -= 1.0 / hull;
    row.by_hull += (1.0 - (o.hull - o.united) / hull) / hull;
  }
  return row;
}

double derivative_of_min(float p, float t) { return p < t ? 1.0 : p == t ? 0.5 : 0.0; }

}  // namespace

void iou_loss(CpuContext& context, const IouLossArgs& args) {
  const double sum = chunked_sum(context, args.rows, 512, [&](int64_t begin, int64_t end) {
    double partial = 0;
    for (int64_t i = begin; i < end; ++i) {
      const float* p = args.predicted + 4 * i;
      const float* t = args.target + 4 * i;
      const Overlap o = overlap_of(p, t);
      const RowLoss row = row_loss(o, args);
      partial += row.value * args.weights[i];
      if (args.gradient == nullptr) continue;
      const double factor = static_cast<double>(args.weights[i]) * args.scale;
      for (int side = 0; side < 4; ++side) {
        const bool horizontal = side % 2 == 0;
        const double inside = derivative_of_min(p[side], t[side]);
        const double by_side_intersection = inside * (horizontal ? o.inner_height : o.inner_width);
        const double by_side_area = horizontal ? double{p[1]} + p[3] : double{p[0]} + p[2];
        const double by_side_hull = (1.0 - inside) * (horizontal ? o.outer_height : o.outer_width);
        args.gradient[4 * i + side] = static_cast<float>(
            factor * (row.by_intersection * by_side_intersection +
                      row.by_union * (by_side_area - by_side_intersection) + row.by_hull * by_side_hull));
      }
    }
    return partial;
  });
  args.loss[0] = static_cast<float>(sum * args.scale);
}

void distance_iou(CpuContext& context, const DistanceIouArgs& args) {
  parallel_for(context, args.rows, 512, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Overlap o = overlap_of(args.predicted + 4 * i, args.target + 4 * i);
      args.iou[i] = static_cast<float>(o.intersection / std::max(o.united, 1e-12));
    }
  });
}

}  // namespace tessera
