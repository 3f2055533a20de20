#include "data/evaluation/coco_match.h"

#include <algorithm>

#include "data/annotations/polygon.h"

namespace tessera {
namespace {

// Areas of these ranges include both ends, so an object of exactly 32 x 32 is small and medium.
constexpr std::array<std::array<double, 2>, kAreaRanges> kAreaLimits = {
    {{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}};

bool in_range(double area, int range) {
  const auto& limits = kAreaLimits[static_cast<size_t>(range)];
  return area >= limits[0] && area <= limits[1];
}

struct Shape {
  BoxXywh box;
  Rle mask;  // segm only
  uint32_t mask_area = 0;

  void set_mask(Rle rle) {
    mask = std::move(rle);
    box = rle_box(mask);
    mask_area = rle_area(mask);
  }
};

struct Truth {
  const CocoAnnotation* annotation;
  Shape shape;
};

struct Found {
  double area = 0;
  Shape shape;
};

double overlap_of(const Shape& found, const Shape& truth, bool crowd, OverlapKind kind) {
  const double boxes = box_iou(found.box, truth.box, crowd);
  if (kind == OverlapKind::bbox || boxes == 0) return boxes;
  const uint64_t common = rle_intersection(found.mask, truth.mask);
  if (common == 0) return 0;
  const uint64_t divisor = crowd ? found.mask_area : uint64_t{found.mask_area} + truth.mask_area - common;
  return static_cast<double>(common) / static_cast<double>(divisor);
}

struct Candidate {
  uint32_t truth;
  double overlap;
};

// One category of one picture.
class BucketMatcher {
 public:
  BucketMatcher(const std::vector<Truth>& truths, const std::vector<Found>& found, OverlapKind kind)
      : truths_(truths), found_(found), candidates_(found.size()) {
    // Overlaps below the lowest threshold never decide anything.
    for (size_t d = 0; d < found.size(); ++d) {
      for (size_t g = 0; g < truths.size(); ++g) {
        const double overlap = overlap_of(found[d].shape, truths[g].shape, truths[g].annotation->crowd, kind);
        if (overlap >= overlap_threshold(0)) candidates_[d].push_back({static_cast<uint32_t>(g), overlap});
      }
    }
  }

  void run(MatchedBucket& bucket) const {
    std::vector<uint8_t> ignored(truths_.size()), taken(truths_.size());
    bucket.outcomes.resize(found_.size());
    for (int area = 0; area < kAreaRanges; ++area) {
      for (size_t g = 0; g < truths_.size(); ++g) {
        ignored[g] = truths_[g].annotation->crowd || !in_range(truths_[g].annotation->area, area);
        bucket.truths[static_cast<size_t>(area)] += ignored[g] == 0;
      }
      for (int threshold = 0; threshold < kOverlapThresholds; ++threshold) {
        std::fill(taken.begin(), taken.end(), 0);
        for (size_t d = 0; d < found_.size(); ++d) {
          const int64_t match = best_truth(candidates_[d], overlap_threshold(threshold), ignored, taken);
          MatchedBucket::Outcome& outcome = bucket.outcomes[d];
          const uint16_t bit = static_cast<uint16_t>(1 << threshold);
          if (match >= 0) {
            taken[static_cast<size_t>(match)] = 1;
            if (!ignored[static_cast<size_t>(match)]) outcome.hit[static_cast<size_t>(area)] |= bit;
          } else if (in_range(found_[d].area, area)) {
            outcome.miss[static_cast<size_t>(area)] |= bit;
          }
        }
      }
    }
  }

 private:
  // The truth of largest overlap, the later one of equals; objects that count come before ignored ones, and a crowd can
  // be taken any number of times. -1: none.
  int64_t best_truth(const std::vector<Candidate>& candidates, double threshold, const std::vector<uint8_t>& ignored,
                     const std::vector<uint8_t>& taken) const {
    for (const uint8_t turn : {0, 1}) {
      double best = std::min(threshold, 1 - 1e-10);
      int64_t match = -1;
      for (const Candidate& candidate : candidates) {
        const uint32_t g = candidate.truth;
        if (ignored[g] != turn || (taken[g] && !truths_[g].annotation->crowd) || candidate.overlap < best) continue;
        best = candidate.overlap;
        match = g;
      }
      if (match >= 0) return match;
    }
    return -1;
  }

  const std::vector<Truth>& truths_;
  const std::vector<Found>& found_;
  std::vector<std::vector<Candidate>> candidates_;
};

}  // namespace

double overlap_threshold(int index) {
  return index == kOverlapThresholds - 1 ? .95 : .5 + index * 0.049999999999999996;
}

std::vector<MatchedBucket> match_image(const CocoDataset& truth, int image, const CocoResults& results,
                                       std::span<const uint32_t> result_indices, bool boxes_given,
                                       const CocoEvalOptions& options) {
  const bool masks = options.overlap == OverlapKind::segm;
  // Indices sorted by category, then as in the file: the order that decides ties.
  struct Entry {
    int category;
    uint32_t index;
  };
  const auto by_category = [](const Entry& a, const Entry& b) { return a.category < b.category; };
  std::vector<Entry> truth_entries, result_entries;
  for (uint32_t index : truth.annotations_of(image)) {
    const CocoAnnotation& annotation = truth.annotations()[index];
    if (!masks || annotation.kind != SegmentationKind::none) truth_entries.push_back({annotation.category, index});
  }
  for (uint32_t index : result_indices) {
    result_entries.push_back({truth.category_index(results.entries()[index].category_id), index});
  }
  std::stable_sort(truth_entries.begin(), truth_entries.end(), by_category);
  std::stable_sort(result_entries.begin(), result_entries.end(), by_category);
  if (!options.use_categories) {
    for (Entry& entry : truth_entries) entry.category = 0;
    for (Entry& entry : result_entries) entry.category = 0;
  }

  const CocoImage& picture = truth.images()[static_cast<size_t>(image)];
  std::vector<MatchedBucket> buckets;
  size_t t = 0, r = 0;
  while (t < truth_entries.size() || r < result_entries.size()) {
    MatchedBucket bucket;
    bucket.category = std::min(t < truth_entries.size() ? truth_entries[t].category : INT32_MAX,
                               r < result_entries.size() ? result_entries[r].category : INT32_MAX);
    std::vector<Truth> truths;
    for (; t < truth_entries.size() && truth_entries[t].category == bucket.category; ++t) {
      const CocoAnnotation& annotation = truth.annotations()[truth_entries[t].index];
      truths.push_back({&annotation, {}});
      truths.back().shape.box = annotation.box;
    }
    std::vector<uint32_t> order;
    for (; r < result_entries.size() && result_entries[r].category == bucket.category; ++r) {
      order.push_back(result_entries[r].index);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return results.entries()[a].score > results.entries()[b].score; });
    if (order.size() > kMaxDetections) order.resize(kMaxDetections);
    if (masks && !order.empty()) {
      for (Truth& entry : truths) entry.shape.set_mask(truth.mask(*entry.annotation));
    }
    std::vector<Found> found;
    found.reserve(order.size());
    for (uint32_t index : order) {
      const CocoResult& entry = results.entries()[index];
      Found object;
      if (masks || !boxes_given) {  // also for the area
        object.shape.set_mask(entry.has_mask() ? results.mask(entry)
                                               : rle_from_box(entry.box, picture.height, picture.width));
      }
      object.area = boxes_given ? entry.box.w * entry.box.h : object.shape.mask_area;
      if (!masks && entry.has_box) object.shape.box = entry.box;
      bucket.scores.push_back(entry.score);
      found.push_back(std::move(object));
    }
    BucketMatcher(truths, found, options.overlap).run(bucket);
    buckets.push_back(std::move(bucket));
  }
  return buckets;
}

}  // namespace tessera
