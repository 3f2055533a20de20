#include "data/evaluation/coco_accumulate.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr int kRecallLevels = 101;
constexpr double kTiny = 2.220446049250313e-16;  // numpy.spacing(1): keeps 0 / 0 out

struct SettingOf {
  int area;
  size_t detections;  // per picture
};
constexpr std::array<SettingOf, kSettings> kSettingTable = {{{0, 1}, {0, 10}, {0, 100}, {1, 100}, {2, 100}, {3, 100}}};

struct Ranked {
  double score;
  uint32_t bucket, detection;
};

// The detections of all pictures, best first; equal scores keep the order of the pictures.
std::vector<Ranked> rank(std::span<const MatchedBucket* const> buckets, size_t detections) {
  std::vector<Ranked> ranked;
  for (size_t b = 0; b < buckets.size(); ++b) {
    const size_t count = std::min(detections, buckets[b]->scores.size());
    for (size_t d = 0; d < count; ++d) {
      ranked.push_back({buckets[b]->scores[d], static_cast<uint32_t>(b), static_cast<uint32_t>(d)});
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.score > b.score; });
  return ranked;
}

}  // namespace

CategoryCurves accumulate(std::span<const MatchedBucket* const> buckets) {
  CategoryCurves curves;
  std::vector<Ranked> ranked;
  std::vector<double> recall, precision;
  std::vector<uint32_t> outcomes;  // of `ranked`: hit bits, miss bits << 16
  for (int s = 0; s < kSettings; ++s) {
    const SettingOf setting = kSettingTable[static_cast<size_t>(s)];
    CategoryCurves::Curve& curve = curves.settings[static_cast<size_t>(s)];
    uint64_t objects = 0;
    for (const MatchedBucket* bucket : buckets) objects += bucket->truths[static_cast<size_t>(setting.area)];
    if (s == 0 || setting.detections != kSettingTable[static_cast<size_t>(s - 1)].detections) {
      ranked = rank(buckets, setting.detections);
    }
    if (objects == 0) continue;
    curve.defined = true;
    outcomes.clear();
    for (const Ranked& place : ranked) {
      const MatchedBucket::Outcome& outcome = buckets[place.bucket]->outcomes[place.detection];
      const size_t area = static_cast<size_t>(setting.area);
      outcomes.push_back(outcome.hit[area] | uint32_t{outcome.miss[area]} << 16);
    }
    recall.resize(ranked.size());
    precision.resize(ranked.size());
    for (int threshold = 0; threshold < kOverlapThresholds; ++threshold) {
      double hits = 0, misses = 0;
      for (size_t i = 0; i < ranked.size(); ++i) {
        hits += outcomes[i] >> threshold & 1;
        misses += outcomes[i] >> (threshold + 16) & 1;
        recall[i] = hits / static_cast<double>(objects);
        precision[i] = hits / (misses + hits + kTiny);
      }
      for (size_t i = precision.size(); i > 1; --i) precision[i - 2] = std::max(precision[i - 2], precision[i - 1]);
      // Precision at the first place that reaches each recall level (>=), 0 where none does.
      double sum = 0;
      size_t place = 0;
      for (int level = 0; level < kRecallLevels; ++level) {
        while (place < recall.size() && recall[place] < level * .01) ++place;
        if (place < recall.size()) sum += precision[place];
      }
      curve.precision[static_cast<size_t>(threshold)] = sum / kRecallLevels;
      curve.recall[static_cast<size_t>(threshold)] = recall.empty() ? 0 : recall.back();
    }
  }
  return curves;
}

std::array<std::optional<double>, 12> summarize(std::span<const CategoryCurves> categories) {
  using Values = std::array<double, kOverlapThresholds>;
  const auto mean = [&](Setting setting, Values CategoryCurves::Curve::*values, int first, int last) {
    double sum = 0;
    int64_t count = 0;
    for (const CategoryCurves& category : categories) {
      const CategoryCurves::Curve& curve = category.settings[static_cast<size_t>(setting)];
      if (!curve.defined) continue;
      for (int t = first; t <= last; ++t) sum += (curve.*values)[static_cast<size_t>(t)];
      count += last - first + 1;
    }
    return count == 0 ? std::nullopt : std::optional<double>(sum / static_cast<double>(count));
  };
  const auto precision = &CategoryCurves::Curve::precision;
  const auto recall = &CategoryCurves::Curve::recall;
  const int last = kOverlapThresholds - 1;
  return {mean(Setting::all_100, precision, 0, last),    mean(Setting::all_100, precision, 0, 0),
          mean(Setting::all_100, precision, 5, 5),       mean(Setting::small_100, precision, 0, last),
          mean(Setting::medium_100, precision, 0, last), mean(Setting::large_100, precision, 0, last),
          mean(Setting::all_1, recall, 0, last),         mean(Setting::all_10, recall, 0, last),
          mean(Setting::all_100, recall, 0, last),       mean(Setting::small_100, recall, 0, last),
          mean(Setting::medium_100, recall, 0, last),    mean(Setting::large_100, recall, 0, last)};
}

}  // namespace tessera
