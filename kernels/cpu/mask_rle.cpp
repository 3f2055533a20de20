#include "kernels/mask_rle.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tessera {

void mask_rle(CpuContext& context, const MaskRleArgs& args) {
  const int64_t row_bytes = (args.width + 7) / 8;
  parallel_for(context, args.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t mask = begin; mask < end; ++mask) {
      const uint8_t* bits = args.bits + mask * args.height * row_bytes;
      int32_t* runs = args.runs + mask * args.capacity;
      std::fill(runs, runs + args.capacity, 0);
      int64_t count = 0, from = 0;
      const auto close = [&](int64_t at) {
        if (count < args.capacity) runs[count] = static_cast<int32_t>(at - from);
        ++count;
        from = at;
      };
      int value = 0;
      for (int64_t x = 0; x < args.width; ++x) {
        const uint8_t* byte = bits + x / 8;
        for (int64_t y = 0; y < args.height; ++y) {
          const int bit = byte[y * row_bytes] >> (x % 8) & 1;
          if (bit != value) close(x * args.height + y);
          value = bit;
        }
      }
      if (args.height * args.width > 0) close(args.height * args.width);
      args.run_counts[mask] = static_cast<int32_t>(count);
    }
  });
}

}  // namespace tessera
