#include "kernels/add.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

void add_forward(CpuContext& context, const AddForwardArgs& args) {
  parallel_for(context, args.count, 1 << 15, [&](int64_t begin, int64_t end) {
    if (args.relu) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) args.sum[i] = std::max(args.a[i] + args.b[i], 0.0f);
    } else {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) args.sum[i] = args.a[i] + args.b[i];
    }
  });
}

}  // namespace tessera
