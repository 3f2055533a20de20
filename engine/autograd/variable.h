// A tensor as the tape knows it. Without a slot it is a constant: no gradient flows to it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "engine/core/pyramid.h"
#include "engine/core/tensor.h"

namespace tessera {

struct Variable {
  Tensor value;
  int32_t slot = -1;  // index of its gradient on the tape that made it

  Variable() = default;
  Variable(Tensor tensor) : value(std::move(tensor)) {}  // NOLINT: a tensor is a constant variable
  Variable(Tensor tensor, int32_t gradient_slot) : value(std::move(tensor)), slot(gradient_slot) {}

  bool needs_gradient() const { return slot >= 0; }
  const Shape& shape() const { return value.shape(); }
  int64_t extent(int axis) const { return value.extent(axis); }
  bool defined() const { return value.defined(); }
};

// Rows [geometry.rows(), C] of all levels, see PyramidGeometry.
struct Pyramid {
  Variable rows;
  PyramidGeometry geometry;

  int64_t channels() const { return rows.extent(1); }
};

}  // namespace tessera
