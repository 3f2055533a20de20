#include "kernels/cpu/machine_peak.h"

#include <algorithm>
#include <chrono>

#include "kernels/cpu/bf16_tiles.h"
#include "kernels/cpu/vector.h"
#include "kernels/memory.h"

namespace tessera {

namespace {

using Clock = std::chrono::steady_clock;

// Twelve independent chains hide a latency of up to six cycles at two multiply-adds per cycle.
constexpr int kChains = 12;

float multiply_add_chains(int64_t steps) {
  Vector sum[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum[i] = Vector{} + static_cast<float>(i);
  Vector factor = Vector{} + 0.999f, term = Vector{} + 0.001f;
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      sum[i] = sum[i] * factor + term;
#if defined(__x86_64__)
      asm volatile("" : "+x"(sum[i]));  // keeps the chain
#endif
    }
  }
  Vector total{};
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) total += sum[i];
  return total[0];
}

// run() returns how many multiply-adds it did.
template <typename Run>
double best_rate(const CpuContext& context, int rounds, Run&& run) {
  const int threads = context.threads();
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    double rate = 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(+ : rate)
    for (int thread = 0; thread < threads; ++thread) {
      const Clock::time_point start = Clock::now();
      const auto macs = static_cast<double>(run());
      rate += 2e-9 * macs / std::chrono::duration<double>(Clock::now() - start).count();
    }
    best = std::max(best, rate);
  }
  return best;
}

}  // namespace

double measure_fma_peak(CpuContext& context, int rounds) {
  return best_rate(context, rounds, [] {
    constexpr int64_t kSteps = 1'000'000;
    volatile float sink = multiply_add_chains(kSteps);
    static_cast<void>(sink);
    return kSteps * kLanes * kChains;
  });
}

double measure_bf16_peak(CpuContext& context, int rounds) {
  const Bf16Path path = best_bf16_path();
  if (path == Bf16Path::portable) return measure_fma_peak(context, rounds);
  return best_rate(context, rounds, [&] {
    constexpr int64_t kTimes = 100'000;
    return Bf16Tiles(path).multiply_registers(kTimes) * kTimes;
  });
}

double measure_copy_bandwidth(CpuContext& context, int rounds) {
  constexpr size_t kBytes = size_t{256} << 20;
  Scratch<char> from(context, kBytes), to(context, kBytes);
  memory_zero(context, from.data(), kBytes);
  memory_zero(context, to.data(), kBytes);
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const Clock::time_point start = Clock::now();
    memory_copy(context, to.data(), from.data(), kBytes);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2.0 * static_cast<double>(kBytes) / seconds * 1e-9);
  }
  return best;
}

}  // namespace tessera
