// The levels of a pyramid as a kernel argument: no copy to the device, so a capture of the launch needs none either.
#pragma once

#include <stdexcept>

#include "kernels/cuda/port.h"
#include "kernels/select_top_k.h"

namespace tessera {
inline namespace TESSERA_PORT {

struct LevelTable {
  static constexpr int64_t kMost = 16;  // each level halves the one before: no picture has more
  LevelRows level[kMost];
  int64_t count;

  LevelTable(const LevelRows* levels, int64_t level_count) : count(level_count) {
    if (level_count > kMost) throw std::invalid_argument("a pyramid of more than 16 levels");
    for (int64_t i = 0; i < level_count; ++i) level[i] = levels[i];
  }

  // Rows of one image.
  __host__ __device__ int64_t cells(int64_t at) const { return level[at].height * level[at].width; }
};

}  // namespace TESSERA_PORT
}  // namespace tessera
