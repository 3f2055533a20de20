#include "kernels/concat.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

void copy_columns(CpuContext& context, const CopyColumnsArgs& args) {
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, args.width));
  parallel_for(context, args.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* source = args.source + row * args.source_stride;
      std::copy(source, source + args.width, args.destination + row * args.destination_stride);
    }
  });
}

}  // namespace tessera
