#include "engine/ops/linear.h"

#include "engine/ops/conv2d.h"

namespace tessera {

// A 1x1 convolution of a map that is one column of pixels; views share the gradient slots.
Variable linear(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias) {
  TESSERA_CHECK(x.shape().rank() == 2 && weight.shape().rank() == 2 && x.extent(1) == weight.extent(1),
                "linear: rows {} for weights {}", x.shape().to_string(), weight.shape().to_string());
  const int64_t rows = x.extent(0), in = x.extent(1), out = weight.extent(0);
  const Variable map(x.value.reshape({1, rows, 1, in}), x.slot);
  const Variable window(weight.value.reshape({out, 1, 1, in}), weight.slot);
  const Variable y = conv2d(tape, {map, window, bias, {}, {}, {}});
  return {y.value.reshape({rows, out}), y.slot};
}

}  // namespace tessera
