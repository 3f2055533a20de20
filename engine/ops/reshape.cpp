#include "engine/ops/reshape.h"

namespace tessera {

Variable reshape(Tape& tape, const Variable& x, const Shape& shape) {
  return tape.record("reshape", {x}, x.value.reshape(shape), {}, [from = x.shape()](BackwardPass& pass) {
    pass.add_gradient(0, pass.output_gradient().reshape(from));
  });
}

}  // namespace tessera
