// Where the output positions of a bilinear resize read along one axis; half-pixel centres, clamped at the border.
// Tabulated on the device in double: a table costs one small launch and no copy from the host.
#pragma once

#include "kernels/cuda/port.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kTapThreads = 128;

// (1 - weight) * in[low] + weight * in[high]
struct Tap {
  int32_t low, high;
  float weight;
};

// The first `count` of `out` positions..
template <typename Index = int64_t>
__global__ void __launch_bounds__(kTapThreads) tabulate_taps(Index in, Index out, Index count, Tap* taps) {
  const double ratio = static_cast<double>(in) / static_cast<double>(out), last = static_cast<double>(in - 1);
  for_each_element(count, [&](int64_t i) {
    double source = (static_cast<double>(i) + 0.5) * ratio - 0.5;
    source = source < 0 ? 0 : source > last ? last : source;
    const int64_t low = static_cast<int64_t>(source);
    taps[i] = {static_cast<int32_t>(low), static_cast<int32_t>(low + 1 < in ? low + 1 : in - 1),
               static_cast<float>(source - static_cast<double>(low))};
  });
}

// The table of an axis, while this lives.
class TapTable {
 public:
  TapTable(LaunchSite site, int64_t in, int64_t out, int64_t count) : taps_(site.context, static_cast<size_t>(count)) {
    launch(tabulate_taps<int64_t>, grid_for(count, kTapThreads), kTapThreads, 0, site, in, out, count, taps_.data());
  }
  TapTable(LaunchSite site, int64_t in, int64_t out) : TapTable(site, in, out, out) {}
  const Tap* data() const { return taps_.data(); }

 private:
  Scratch<Tap> taps_;
};

}  // namespace TESSERA_PORT
}  // namespace tessera
