#include "kernels/point_nms.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

void point_nms(CpuContext& context, const PointNmsArgs& args) {
  const int64_t classes = args.classes, line = args.width * classes;
  parallel_for(context, args.images * args.height, std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, line)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const bool has_above = row % args.height > 0;
                   for (int64_t x = 0; x < args.width; ++x) {
                     const float* cell = args.scores + row * line + x * classes;
                     float* kept = args.kept + row * line + x * classes;
                     for (int64_t k = 0; k < classes; ++k) {
                       float best = cell[k];
                       if (x > 0) best = std::max(best, cell[k - classes]);
                       if (has_above) best = std::max(best, cell[k - line]);
                       if (has_above && x > 0) best = std::max(best, cell[k - line - classes]);
                       kept[k] = cell[k] >= best ? cell[k] : 0.0f;
                     }
                   }
                 }
               });
}

}  // namespace tessera
