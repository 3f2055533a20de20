// Grid-stride, 16 elements per thread; a block counts what is not finite and finds its first, and where there is any
// adds both to the result with integer atomics, which give the same in any order. 4 bytes per element: bandwidth is the
// limit. The test is on the bits, as on the CPU.
#include "kernels/finite_check.h"

#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kFiniteCheckThreads = 256;
constexpr unsigned long long kNone = ~0ull;

// What is known of the elements so far, on the device.
struct Found {
  unsigned long long bad, first;
};

__global__ void start_check(Found* found) { *found = {0, kNone}; }

__global__ void __launch_bounds__(kFiniteCheckThreads) check_kernel(const float* x, int64_t count, Found* found) {
  unsigned long long bad = 0, first = kNone;
  for_each_element(count, [&](int64_t i) {
    if ((__float_as_uint(x[i]) & 0x7f800000u) != 0x7f800000u) return;
    ++bad;
    first = first < static_cast<unsigned long long>(i) ? first : static_cast<unsigned long long>(i);
  });
  bad = block_sum(bad);
  first = block_reduce(first, kNone, MinimumOf{});
  if (threadIdx.x != 0 || bad == 0) return;
  atomicAdd(&found->bad, bad);
  atomicMin(&found->first, first);
}

}  // namespace

void finite_check(DeviceContext& context, const FiniteCheckArgs& args) {
  Scratch<Found> found(context, 1);
  launch(start_check, 1, 1, 0, context, found.data());
  launch(check_kernel, grid_for(ceil_div(args.count, 16), kFiniteCheckThreads), kFiniteCheckThreads, 0, context, args.x,
         args.count, found.data());
  Found result{};
  memory_to_host(context, &result, found.data(), sizeof(result));
  *args.bad = static_cast<int64_t>(result.bad);
  *args.first = result.bad == 0 ? -1 : static_cast<int64_t>(result.first);
}

}  // namespace tessera
