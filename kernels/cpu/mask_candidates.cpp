#include "kernels/mask_candidates.h"

#include <algorithm>
#include <vector>

namespace tessera {

void rank_scores(CpuContext&, const RankScoresArgs& args) {
  const int64_t used = args.valid != nullptr ? std::clamp<int64_t>(*args.valid, 0, args.count) : args.count;
  std::vector<int32_t> order;
  for (int64_t i = 0; i < used; ++i) {
    if (args.scores[i] >= args.least) order.push_back(static_cast<int32_t>(i));
  }
  const auto better = [&](int32_t a, int32_t b) {
    if (args.scores[a] != args.scores[b]) return args.scores[a] > args.scores[b];
    if (args.rows != nullptr && args.rows[a] != args.rows[b]) return args.rows[a] < args.rows[b];
    if (args.labels != nullptr && args.labels[a] != args.labels[b]) return args.labels[a] < args.labels[b];
    return a < b;
  };
  const int64_t kept = std::min(args.capacity, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), better);
  std::copy_n(order.begin(), kept, args.places);
  std::fill(args.places + kept, args.places + args.capacity, 0);
  *args.kept = static_cast<int32_t>(kept);
}

void take_rows(CpuContext&, const TakeRowsArgs& args) {
  for (int64_t i = 0; i < args.capacity; ++i) {
    uint32_t* to = args.to + i * args.width;
    if (i < *args.kept) {
      std::copy_n(args.from + args.places[i] * args.width, args.width, to);
    } else {
      std::fill_n(to, args.width, 0u);
    }
  }
}

void weigh_masks(CpuContext&, const WeighMasksArgs& args) {
  for (int64_t i = 0; i < args.count; ++i) {
    args.weighed[i] = args.areas[i] > args.least_areas[i] ? args.scores[i] * args.maskness[i] : -1.0f;
  }
}

void keep_scores(CpuContext&, const KeepScoresArgs& args) {
  for (int64_t i = 0; i < args.count; ++i) args.result[i] = args.kept[i] != 0 ? args.scores[i] : -1.0f;
}

}  // namespace tessera
