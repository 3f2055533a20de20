#include "kernels/select_top_k.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

constexpr int64_t kRowsPerPiece = 2048;

struct Candidate {
  float value;
  int32_t row, category;

  bool operator<(const Candidate& other) const {  // better first
    if (value != other.value) return value > other.value;
    return row != other.row ? row < other.row : category < other.category;
  }
};

// Consecutive rows of one image and level.
struct Piece {
  int64_t image, level, begin, end;
};

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// A logit at or below this cannot pass: the logit of the least class probability, with a margin for rounding.
float logit_bound(double probability) {
  if (probability <= 0) return -std::numeric_limits<float>::infinity();
  if (probability >= 1) return std::numeric_limits<float>::infinity();
  const double logit = std::log(probability / (1 - probability));
  return static_cast<float>(logit - 1e-4 * (1 + std::abs(logit)));
}

std::vector<Candidate> scan(const SelectTopKArgs& args, const Piece& piece, float bound) {
  std::vector<Candidate> found;
  for (int64_t row = piece.begin; row < piece.end; ++row) {
    const float* logits = args.class_logits + row * args.class_count;
    int passing = 0;
#pragma omp simd reduction(+ : passing)
    for (int64_t category = 0; category < args.class_count; ++category) passing += logits[category] > bound ? 1 : 0;
    if (passing == 0) continue;
    const double quality = args.quality_logits != nullptr ? sigmoid(args.quality_logits[row]) : 1.0;
    for (int64_t category = 0; category < args.class_count; ++category) {
      if (!(logits[category] > bound)) continue;
      const double probability = args.rule == CandidateRule::given ? logits[category] : sigmoid(logits[category]);
      const auto product = static_cast<float>(probability * quality);
      const float compared = args.rule == CandidateRule::class_probability ? static_cast<float>(probability)
                             : args.rule == CandidateRule::root_of_product ? std::sqrt(product)
                                                                           : product;
      if (compared > args.threshold && product == product) {  // a quality of NaN has no place in an order
        found.push_back({product, static_cast<int32_t>(row), static_cast<int32_t>(category)});
      }
    }
  }
  return found;
}

}  // namespace

void select_top_k(CpuContext& context, const SelectTopKArgs& args) {
  std::vector<Piece> pieces;
  std::vector<size_t> first_piece;  // of each image and level
  for (int64_t image = 0; image < args.images; ++image) {
    for (int64_t level = 0; level < args.level_count; ++level) {
      first_piece.push_back(pieces.size());
      const int64_t cells = args.levels[level].height * args.levels[level].width;
      const int64_t begin = args.levels[level].row_begin + image * cells;
      for (int64_t at = 0; at < cells; at += kRowsPerPiece) {
        pieces.push_back({image, level, begin + at, begin + std::min(cells, at + kRowsPerPiece)});
      }
    }
  }
  first_piece.push_back(pieces.size());

  // A quality of at most 1 only lowers the product, so the class probability alone must reach the threshold.
  const double threshold = args.threshold;
  const float bound =
      args.rule == CandidateRule::given
          ? args.threshold
          : logit_bound(args.rule == CandidateRule::root_of_product ? threshold * threshold : threshold);
  std::vector<std::vector<Candidate>> found(pieces.size());
  parallel_chunks(context, static_cast<int64_t>(pieces.size()), 1, [&](int64_t, int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      found[i] = scan(args, pieces[i], bound);
    }
  });

  parallel_chunks(context, args.images * args.level_count, 1, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      std::vector<Candidate> all;
      for (size_t i = first_piece[static_cast<size_t>(group)]; i < first_piece[static_cast<size_t>(group) + 1]; ++i) {
        all.insert(all.end(), found[i].begin(), found[i].end());
      }
      const size_t kept = std::min(all.size(), static_cast<size_t>(args.k));
      std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end());
      for (size_t i = 0; i < static_cast<size_t>(args.k); ++i) {
        const Candidate entry = i < kept ? all[i] : Candidate{0, 0, 0};
        const size_t at = static_cast<size_t>(group * args.k) + i;
        args.values[at] = entry.value;
        args.rows[at] = entry.row;
        args.classes[at] = entry.category;
      }
      args.counts[group] = static_cast<int32_t>(kept);
    }
  });
}

}  // namespace tessera
