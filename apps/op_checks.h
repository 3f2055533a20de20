// What `tessera bench ops --check-only` runs: every op with made-up inputs, on any device. The suite holds ops to
// oracles; this compares a device with the CPU backend where the suite is not at hand.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/context.h"

namespace tessera {

struct CheckedTensor {
  std::string name;  // "y", "d input 0", ...
  std::vector<float> values;
  bool exact = false;  // numbers of things, places and bits: no rounding excuses a difference
};

struct OpCheck {
  std::string name;
  double terms = 1;  // of the longest sum behind one value, forward or backward
  std::function<std::vector<CheckedTensor>(Context&)> run;
};

// The convolutions of bench_shapes.h on small maps, then every other op.
std::vector<OpCheck> op_checks();

}  // namespace tessera
