#include "tests/kernels/philox.h"

#include "kernels/cuda/port.h"
#include "kernels/philox.h"

namespace tessera::testing_support {

namespace {

__global__ void philox_kernel(PhiloxCase* cases, int64_t count) {
  for_each_element(count, [&](int64_t i) { cases[i].bits = philox4x32(cases[i].counter, cases[i].key); });
}

}  // namespace

void run_philox(DeviceContext& context, PhiloxCase* cases, int64_t count) {
  launch(philox_kernel, grid_for(count, 64), 64, 0, context, cases, count);
}

}  // namespace tessera::testing_support
