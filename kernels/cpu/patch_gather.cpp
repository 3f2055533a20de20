#include "kernels/patch_gather.h"

#include <cstring>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

// Calls visit(window position 0..8, row of the neighbour or -1 outside the map).
template <typename Visit>
void for_each_neighbour(const PatchLevel* levels, int64_t level_count, int64_t row, Visit&& visit) {
  const PatchLevel* level = levels + level_count - 1;
  while (level->row_begin > row) --level;
  const int64_t cell = (row - level->row_begin) % (level->height * level->width);
  const int64_t y = cell / level->width, x = cell % level->width;
  int position = 0;
  for (int64_t dy = -1; dy <= 1; ++dy) {
    for (int64_t dx = -1; dx <= 1; ++dx, ++position) {
      const bool inside = y + dy >= 0 && y + dy < level->height && x + dx >= 0 && x + dx < level->width;
      visit(position, inside ? row + dy * level->width + dx : -1);
    }
  }
}

}  // namespace

void patch_gather_forward(CpuContext& context, const PatchGatherForwardArgs& args) {
  const size_t bytes = static_cast<size_t>(args.channels) * sizeof(float);
  parallel_for(context, args.count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      float* patch = args.patches + j * 9 * args.channels;
      for_each_neighbour(args.levels, args.level_count, args.rows[j], [&](int position, int64_t row) {
        float* target = patch + position * args.channels;
        if (row < 0) {
          std::memset(target, 0, bytes);
        } else {
          std::memcpy(target, args.x + row * args.channels, bytes);
        }
      });
    }
  });
}

void patch_gather_backward(CpuContext& context, const PatchGatherBackwardArgs& args) {
  // Threads share the channels, not the rows: every sum runs in the order of j, whatever the number of threads.
  parallel_for(context, args.channels, 16, [&](int64_t begin, int64_t end) {
    for (int64_t j = 0; j < args.count; ++j) {
      const float* patch = args.dpatches + j * 9 * args.channels;
      for_each_neighbour(args.levels, args.level_count, args.rows[j], [&](int position, int64_t row) {
        if (row < 0) return;
        float* target = args.dx + row * args.channels;
        const float* source = patch + position * args.channels;
#pragma omp simd
        for (int64_t c = begin; c < end; ++c) target[c] += source[c];
      });
    }
  });
}

}  // namespace tessera
