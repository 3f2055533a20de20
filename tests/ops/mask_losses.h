// Cases common to the losses of masks against targets of one bit a pixel.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/ops/op_check.h"

namespace tessera::testing_support {

struct MaskTargets {
  int64_t pixels;
  std::vector<int32_t> words;  // [T, ceil(pixels / 32)]
  std::vector<int32_t> index;  // [M]

  int64_t words_per_mask() const { return (pixels + 31) / 32; }
  bool at(size_t mask, int64_t pixel) const {
    const int64_t word = index[mask] * words_per_mask() + pixel / 32;
    return static_cast<uint32_t>(words[static_cast<size_t>(word)]) >> (pixel % 32) & 1;
  }
  // [M, P]: the target of every prediction.
  std::vector<bool> bits() const {
    std::vector<bool> all;
    for (size_t mask = 0; mask < index.size(); ++mask) {
      for (int64_t pixel = 0; pixel < pixels; ++pixel) all.push_back(at(mask, pixel));
    }
    return all;
  }
  Tensor words_tensor(Context& context) const {
    const int64_t each = words_per_mask(), count = static_cast<int64_t>(words.size()) / (each > 0 ? each : 1);
    return Tensor::from_host<int32_t>(context, {count, each}, words);
  }
  Tensor index_tensor(Context& context) const {
    return Tensor::from_host<int32_t>(context, {static_cast<int64_t>(index.size())}, index);
  }
};

// `targets` random masks (the first of them empty, bits beyond the last pixel set) for `masks` predictions.
inline MaskTargets random_masks(int64_t masks, int64_t targets, int64_t pixels) {
  MaskTargets result{pixels, {}, {}};
  uint64_t state = 88172645463325252u;
  for (int64_t i = 0; i < targets * result.words_per_mask(); ++i) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    result.words.push_back(i < result.words_per_mask() ? 0 : static_cast<int32_t>(state >> 16));
  }
  if (pixels % 32 != 0 && targets > 0) result.words[static_cast<size_t>(result.words_per_mask() - 1)] = INT32_MIN;
  for (int64_t i = 0; i < masks; ++i) result.index.push_back(static_cast<int32_t>((i + 1) % targets));
  return result;
}

}  // namespace tessera::testing_support
