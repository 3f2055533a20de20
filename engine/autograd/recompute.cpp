#include "engine/autograd/recompute.h"

namespace tessera {

Variable recompute(Tape& tape, const Variable& x, TapeFunction part) {
  if (!tape.will_record({x})) return part(tape, x);
  Tensor y;
  {
    const Tape::NoGrad unrecorded(tape);
    y = part(tape, x.value).value;
  }
  return tape.record("recompute", {x}, y, {x.value}, [part = std::move(part)](BackwardPass& pass) {
    Tape inner(pass.context());
    const Variable input = inner.input(pass.saved(0));
    inner.backward(part(inner, input), pass.output_gradient());
    if (const Tensor dx = inner.gradient(input); dx.defined()) pass.add_gradient(0, dx);
  });
}

}  // namespace tessera
