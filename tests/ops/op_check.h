// One check for every differentiable op, on every backend that is present: forward against a naive double-precision
// oracle, backward against numerical derivatives of that same oracle with random cotangents (a sum() loss would make
// the gradients of norms and softmax vanish). The oracle is never the CPU backend, which may share a mistake.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/autograd/tape.h"

namespace tessera::testing_support {

// Calls test for each backend of TESSERA_BACKENDS (comma separated, default "cpu"); "emulated" comes twice, with
// threads in order and late copies, and shuffled with early ones (once when TESSERA_EMULATOR names a schedule, and
// under AddressSanitizer: by turns from test to test). A named backend that this build or machine lacks makes the
// calling test fail; a kernel in kernels/not_yet.inc makes it count as skipped. Memory of the backends is not a number
// until it is written, and guarded (tests/ops/guarded_allocator.h).
void for_each_backend(const std::function<void(Context&)>& test);

// Values of one input of an op, in double; rounded to f32 before either side sees them.
struct OpInput {
  Shape shape;
  std::vector<double> values;
  bool differentiable = true;
};

// Random values that are exactly representable in f32. Normal with the given deviation and mean.
OpInput random_input(const Shape& shape, uint64_t sample, double deviation = 1.0, double mean = 0.0);
// As above, but no value is closer to zero than `gap`: for ops with a kink at zero (ReLU).
OpInput random_input_away_from_zero(const Shape& shape, uint64_t sample, double gap = 0.05);

struct OpTolerance {
  // |computed - expected| <= absolute + relative * |expected|; for gradients the absolute part is multiplied by the
  // largest gradient of the tensor.
  double forward_absolute = 1e-5;
  double forward_relative = 1e-5;
  double gradient_absolute = 2e-5;
  double gradient_relative = 1e-4;
  double step = 1e-5;         // of the central differences
  int jacobian_limit = 4096;  // inputs with more elements are checked at this many random positions
};

using OpUnderTest = std::function<Variable(Tape&, const std::vector<Variable>&)>;
using OpOracle = std::function<std::vector<double>(const std::vector<std::vector<double>>&)>;

// Runs op on every backend: output equals oracle(inputs); a second run gives the same bits (not under
// AddressSanitizer and the race checker); for each differentiable input dL/dx of L = sum(cotangent * output) equals the
// central difference of the oracle.
void check_op(const std::string& name, const std::vector<OpInput>& inputs, const OpUnderTest& op,
              const OpOracle& oracle, const OpTolerance& tolerance = {});

// Forward only (ops without gradient, large cases).
void check_op_forward(const std::string& name, const std::vector<OpInput>& inputs, const OpUnderTest& op,
                      const OpOracle& oracle, const OpTolerance& tolerance = {});

}  // namespace tessera::testing_support
