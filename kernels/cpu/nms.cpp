#include "kernels/nms.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/candidate_list.h"
#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

// Kept boxes, one array per coordinate: a candidate is compared with eight of them at a time.
struct KeptBoxes {
  explicit KeptBoxes(size_t capacity) : x1(capacity), y1(capacity), x2(capacity), y2(capacity), category(capacity) {}

  std::vector<float> x1, y1, x2, y2;
  std::vector<int32_t> category;
  int64_t count = 0;

  void add(const float* box, int32_t of_category) {
    const auto at = static_cast<size_t>(count++);
    x1[at] = box[0];
    y1[at] = box[1];
    x2[at] = box[2];
    y2[at] = box[3];
    category[at] = of_category;
  }

  // Whether a kept box of this category overlaps by more than the threshold. Two empty boxes give 0 / 0: no overlap.
  bool overlap(const float* box, int32_t of_category, bool any_category, float threshold) const {
    const float left = box[0], top = box[1], right = box[2], bottom = box[3];
    const float area = (right - left) * (bottom - top);
    const float *kept_x1 = x1.data(), *kept_y1 = y1.data(), *kept_x2 = x2.data(), *kept_y2 = y2.data();
    const int32_t* kept_category = category.data();
    int hits = 0;
#pragma omp simd reduction(+ : hits)
    for (int64_t i = 0; i < count; ++i) {
      const float width = std::max(std::min(kept_x2[i], right) - std::max(kept_x1[i], left), 0.0f);
      const float height = std::max(std::min(kept_y2[i], bottom) - std::max(kept_y1[i], top), 0.0f);
      const float shared = width * height;
      const float united = area + (kept_x2[i] - kept_x1[i]) * (kept_y2[i] - kept_y1[i]) - shared;
      const bool same = any_category | (kept_category[i] == of_category);
      hits += same & (shared / united > threshold) ? 1 : 0;
    }
    return hits > 0;
  }
};

}  // namespace

void nms(CpuContext& context, const NmsArgs& args) {
  parallel_chunks(context, args.candidates.images, 1, [&](int64_t image, int64_t, int64_t) {
    const CandidateArgs& from = args.candidates;
    const int64_t begin = image * from.capacity;
    std::vector<int64_t> order;
    order.reserve(static_cast<size_t>(from.counts[image]));
    for (int64_t i = begin; i < begin + from.counts[image]; ++i) {
      if (!std::isnan(from.scores[i])) order.push_back(i);  // a NaN has no place in an order
    }
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      if (from.scores[a] != from.scores[b]) return from.scores[a] > from.scores[b];
      if (from.rows[a] != from.rows[b]) return from.rows[a] < from.rows[b];
      return from.classes[a] != from.classes[b] ? from.classes[a] < from.classes[b] : a < b;
    });
    KeptBoxes kept(static_cast<size_t>(args.kept.capacity));
    CandidateWriter writer(args.kept, image);
    for (const int64_t i : order) {
      if (writer.full()) break;
      const float* box = from.boxes + 4 * i;
      if (kept.overlap(box, from.classes[i], !args.class_aware, args.iou_threshold)) continue;
      kept.add(box, from.classes[i]);
      writer.add(box, from.scores[i], from.classes[i], from.rows[i]);
    }
    writer.finish();
  });
}

}  // namespace tessera
