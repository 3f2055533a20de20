#include "kernels/mask_binarize.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"

namespace tessera {

void mask_binarize(CpuContext& context, const MaskBinarizeArgs& args) {
  const int64_t words = (args.pixels + 63) / 64;
  parallel_for(context, args.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t mask = begin; mask < end; ++mask) {
      const float* logits = args.logits + mask * args.pixels;
      int32_t area = 0;
      double sum = 0;
      for (int64_t w = 0; w < words; ++w) {
        const int64_t first = 64 * w, count = std::min<int64_t>(64, args.pixels - first);
        uint64_t word = 0;
        for (int64_t i = 0; i < count; ++i) {
          const float p = 1.0f / (1.0f + std::exp(-logits[first + i]));
          if (!(p > args.threshold)) continue;
          word |= uint64_t{1} << i;
          sum += static_cast<double>(p);
          ++area;
        }
        args.words[mask * words + w] = static_cast<int64_t>(word);
      }
      args.areas[mask] = area;
      args.maskness[mask] = area > 0 ? static_cast<float>(sum / area) : 0.0f;
    }
  });
}

}  // namespace tessera
