#include "kernels/scale.h"

#include "kernels/cpu/parallel.h"

namespace tessera {

void scale_forward(CpuContext& context, const ScaleForwardArgs& args) {
  parallel_for(context, args.count, 1 << 15, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) args.y[i] = args.factor * args.x[i];
  });
}

}  // namespace tessera
