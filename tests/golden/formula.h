// Numbers that these tests and the generator of the goldens compute alike (formula.py): nothing large is stored.
#pragma once

#include <cmath>
#include <string_view>
#include <vector>

#include "data/annotations/annotations.h"
#include "engine/autograd/parameter_store.h"
#include "engine/core/rng.h"

namespace tessera::golden {

// The numbers of one name: a 32-bit mix of the low half of FNV-1a(name) and the index.
class Formula {
 public:
  explicit Formula(std::string_view name) : hash_(static_cast<uint32_t>(hash_name(name))) {}

  uint32_t bits(size_t index) const {
    uint32_t x = static_cast<uint32_t>(index) * 2654435761u + hash_;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x;
  }
  // In [-0.5, 0.5).
  float noise(size_t index) const { return static_cast<float>(bits(index) * 0x1p-32 - 0.5); }

 private:
  uint32_t hash_;
};

// Variances and scales of norms: 1 + noise; bias of class logits: noise - 2, of box distances: noise + 2; position
// tables: 2 noise; ReZero gates: noise / 4; other matrices and convolutions: noise * 3.4 / sqrt(fan in), which keeps
// the variance, of class logits and kernels of cells a tenth of it; everything else: noise / 2.
void set_formula_weights(Context& context, const ParameterStore& store);

// [N, H, W, 3]: noise around coloured stripes.
Tensor formula_pictures(Context& context, int64_t count, int64_t height, int64_t width);

// Pixels whose centre lies in the ellipse inscribed in the box, whose edges are at quarters of a pixel.
Bitmap formula_ellipse(const Box& box, int height, int width);

}  // namespace tessera::golden
