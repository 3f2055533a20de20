#include "engine/core/rng.h"

#include <cmath>
#include <numbers>

#include "kernels/philox.h"

namespace tessera {

void Rng::next_block() {
  block_ = philox4x32(counter_, key_);
  ++counter_[0];
  used_ = 0;
}

float Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log((bits() + 1.0) * 0x1p-32));
  return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * bits() * 0x1p-32));
}

}  // namespace tessera
