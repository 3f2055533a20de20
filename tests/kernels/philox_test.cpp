#include "kernels/philox.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/core/dispatch.h"
#include "kernels/memory.h"
#include "tests/kernels/philox.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Philox, DevicesGiveTheBitsOfTheHost) {
  std::vector<PhiloxCase> cases(100);
  std::array<uint32_t, 4> bits{1, 2, 3, 4};
  for (PhiloxCase& at : cases) {
    at.counter = bits;
    at.key = {bits[3], bits[0]};
    bits = philox4x32(bits, {7, 11});
  }
  cases[0].counter = {~0u, ~0u, ~0u, ~0u};
  cases[0].key = {~0u, ~0u};
  for_each_backend([&](Context& context) {
    const size_t bytes = cases.size() * sizeof(PhiloxCase);
    dispatch(context, [&](auto& backend) {
      if constexpr (!std::is_same_v<decltype(backend), CpuContext&>) {
        Scratch<PhiloxCase> memory(backend, cases.size());
        memory_from_host(backend, memory.data(), cases.data(), bytes);
        run_philox(backend, memory.data(), static_cast<int64_t>(cases.size()));
        std::vector<PhiloxCase> results(cases.size());
        memory_to_host(backend, results.data(), memory.data(), bytes);
        for (size_t i = 0; i < cases.size(); ++i) {
          EXPECT_EQ(results[i].bits, philox4x32(cases[i].counter, cases[i].key)) << i;
        }
      }
    });
  });
}

}  // namespace
}  // namespace tessera
