#include "apps/timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/cpu/machine_peak.h"

namespace tessera {

namespace {

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

Timing time_calls(const TimingPlan& plan, const std::function<void()>& call) {
  const auto peak = [&] { return plan.peak == nullptr ? 0.0 : measure_fma_peak(*plan.peak, 1); };
  std::vector<double> seconds, shares, peaks;
  call();
  double before = peak();
  for (double total = 0; static_cast<int>(seconds.size()) < plan.least_rounds || total < plan.least_seconds;
       total += seconds.back()) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    const double after = peak();
    peaks.push_back((before + after) / 2);
    if (plan.peak != nullptr) shares.push_back(2e-9 * plan.multiply_adds / seconds.back() / peaks.back());
    before = after;
  }
  const auto [fastest, slowest] = std::minmax_element(seconds.begin(), seconds.end());
  return {median_of(seconds), *fastest, *slowest, shares.empty() ? 0 : median_of(shares), median_of(peaks)};
}

std::string timing_text(const Timing& timing) {
  return fmt::format("{:.1f} ms (fastest {:.1f}, slowest {:.1f})", timing.median * 1e3, timing.fastest * 1e3,
                     timing.slowest * 1e3);
}

}  // namespace tessera
