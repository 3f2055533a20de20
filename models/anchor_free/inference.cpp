#include "models/anchor_free/inference.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "engine/ops/linear.h"
#include "engine/ops/mask_binarize.h"
#include "engine/ops/mask_enlarge.h"
#include "engine/ops/mask_nms.h"
#include "engine/ops/point_nms.h"
#include "engine/ops/row_gather.h"
#include "engine/ops/sigmoid.h"
#include "engine/ops/softmax_cross_entropy.h"

namespace tessera {

namespace {

constexpr int64_t kMaskStride = 4;  // of the mask features

struct Candidate {
  int32_t row = 0;  // of the cells
  int32_t label = 0;
  float score = 0;
  int least_area = 0;
  int32_t area = 0;
  std::vector<int64_t> words;
};

// Probabilities [R, classes] of all cells.
Tensor class_scores(Context& context, const Tensor& logits, const AnchorFreeConfig& config) {
  if (config.class_loss == ClassLoss::ce) return softmax(context, logits, config.classes);
  Tape tape(context, Tape::Mode::forward);
  return sigmoid(tape, logits).value;
}

// All pairs of a cell of the picture and a class above the threshold, in the order of cells, then classes.
std::vector<Candidate> find_candidates(Context& context, const CellPredictions& cells, int64_t image,
                                       const AnchorFreeConfig& config) {
  const PyramidGeometry& geometry = cells.geometry;
  const Tensor kept = point_nms(context, class_scores(context, cells.logits.value, config), geometry);
  std::vector<Candidate> candidates;
  if (context.backend() == Backend::plan) {
    candidates.resize(static_cast<size_t>(config.candidates));
    return candidates;
  }
  for (int64_t index = 0; index < geometry.level_count(); ++index) {
    const int64_t first = geometry.row(index, image, 0, 0), count = geometry.level(index).cells();
    const std::vector<float> scores = kept.slice(first, first + count).to_host<float>(context);
    for (size_t i = 0; i < scores.size(); ++i) {
      if (!(scores[i] > config.score_threshold)) continue;
      const auto classes = static_cast<size_t>(config.classes);
      Candidate& candidate = candidates.emplace_back();
      candidate.row = static_cast<int32_t>(first + static_cast<int64_t>(i / classes));
      candidate.label = static_cast<int32_t>(i % classes);
      candidate.score = scores[i];
      candidate.least_area = config.least_areas[static_cast<size_t>(index)];
    }
  }
  return candidates;
}

// Mask logits [n, h * w] of candidates [begin, end).
Tensor mask_logits(Context& context, const CellPredictions& cells, const Tensor& map,
                   const std::vector<Candidate>& candidates, size_t begin, size_t end) {
  std::vector<int32_t> rows;
  for (size_t i = begin; i < end; ++i) rows.push_back(candidates[i].row);
  const Tensor index = Tensor::from_host<int32_t>(context, {static_cast<int64_t>(rows.size())}, rows, "candidates");
  Tape tape(context, Tape::Mode::forward);
  return linear(tape, row_gather(tape, cells.kernels.value, index), map).value;
}

// Bits, areas and maskness of all candidates, a chunk at a time; those with too few pixels go.
void measure(Context& context, const CellPredictions& cells, const Tensor& map, const AnchorFreeConfig& config,
             std::vector<Candidate>& candidates) {
  // One cell may be a candidate for several classes, with the same mask: it is made once for each of them, which keeps
  // the chunks plain.
  const auto chunk = static_cast<size_t>(config.chunk);
  for (size_t begin = 0; begin < candidates.size(); begin += chunk) {
    const size_t end = std::min(begin + chunk, candidates.size());
    const BinaryMasks masks =
        mask_binarize(context, mask_logits(context, cells, map, candidates, begin, end), config.mask_threshold);
    if (context.backend() == Backend::plan) continue;
    const std::vector<int64_t> words = masks.words.to_host<int64_t>(context);
    const std::vector<int32_t> areas = masks.areas.to_host<int32_t>(context);
    const std::vector<float> maskness = masks.maskness.to_host<float>(context);
    const size_t per_mask = words.size() / areas.size();
    for (size_t i = begin; i < end; ++i) {
      Candidate& candidate = candidates[i];
      candidate.area = areas[i - begin];
      candidate.score *= maskness[i - begin];
      if (candidate.area <= candidate.least_area) continue;
      const auto first = words.begin() + static_cast<ptrdiff_t>((i - begin) * per_mask);
      candidate.words.assign(first, first + static_cast<ptrdiff_t>(per_mask));
    }
  }
  if (context.backend() == Backend::plan) return;
  std::erase_if(candidates, [](const Candidate& candidate) { return candidate.area <= candidate.least_area; });
}

void keep_best(std::vector<Candidate>& candidates, size_t count) {
  std::ranges::stable_sort(candidates, std::ranges::greater{}, &Candidate::score);
  if (candidates.size() > count) candidates.resize(count);
}

// New scores of candidates that are sorted by score; those that are suppressed go.
void suppress(Context& context, const AnchorFreeConfig& config, int64_t words_per_mask,
              std::vector<Candidate>& candidates) {
  const auto count = static_cast<int64_t>(candidates.size());
  std::vector<int64_t> words;
  std::vector<int32_t> areas, labels;
  std::vector<float> scores;
  for (Candidate& candidate : candidates) {
    candidate.words.resize(static_cast<size_t>(words_per_mask));
    words.insert(words.end(), candidate.words.begin(), candidate.words.end());
    areas.push_back(candidate.area);
    labels.push_back(candidate.label);
    scores.push_back(candidate.score);
  }
  const Tensor overlaps =
      mask_overlap(context, Tensor::from_host<int64_t>(context, {count, words_per_mask}, words, "candidates"),
                   Tensor::from_host<int32_t>(context, {count}, areas, "candidates"),
                   Tensor::from_host<int32_t>(context, {count}, labels, "candidates"));
  if (config.suppression == MaskSuppression::mask) {
    const Tensor kept = greedy_nms(context, overlaps, config.nms_threshold);
    if (context.backend() == Backend::plan) return;
    const std::vector<uint8_t> flags = kept.to_host<uint8_t>(context);
    for (size_t i = 0; i < flags.size(); ++i) {
      if (flags[i] == 0) candidates[i].score = -1;
    }
    std::erase_if(candidates, [](const Candidate& candidate) { return candidate.score < 0; });
    return;
  }
  const Tensor decayed =
      matrix_nms(context, overlaps, Tensor::from_host<float>(context, {count}, scores, "candidates"),
                 {.gaussian = config.suppression == MaskSuppression::matrix_gaussian, .sigma = config.nms_sigma});
  if (context.backend() == Backend::plan) return;
  const std::vector<float> lower = decayed.to_host<float>(context);
  for (size_t i = 0; i < lower.size(); ++i) candidates[i].score = lower[i];
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.score < config.keep_threshold; });
}

}  // namespace

BitMask tight_mask(const uint8_t* bits, int height, int width) {
  const int row_bytes = (width + 7) / 8;
  int top = height, bottom = 0, left = width, right = 0;
  for (int y = 0; y < height; ++y) {
    const uint8_t* row = bits + static_cast<size_t>(y) * row_bytes;
    int first = 0, last = row_bytes - 1;
    while (first < row_bytes && row[first] == 0) ++first;
    if (first == row_bytes) continue;
    while (row[last] == 0) --last;
    top = std::min(top, y);
    bottom = y + 1;
    left = std::min(left, 8 * first + std::countr_zero(row[first]));
    right = std::max(right, 8 * last + std::bit_width(row[last]));
  }
  BitMask mask;
  if (right <= left) return mask;
  mask.x = left;
  mask.y = top;
  mask.width = right - left;
  mask.height = bottom - top;
  mask.bits.assign(static_cast<size_t>(mask.height) * mask.row_bytes(), 0);
  for (int y = 0; y < mask.height; ++y) {
    const uint8_t* row = bits + static_cast<size_t>(top + y) * row_bytes;
    uint8_t* out = mask.bits.data() + static_cast<size_t>(y) * mask.row_bytes();
    for (int x = 0; x < mask.width; ++x) {
      const int source = left + x;
      out[x / 8] = static_cast<uint8_t>(out[x / 8] | (row[source / 8] >> (source % 8) & 1) << (x % 8));
    }
  }
  return mask;
}

std::vector<Detection> detect_masks(Context& context, const CellPredictions& cells, const Tensor& features,
                                    int64_t image, const ImageGeometry& geometry, const AnchorFreeConfig& config) {
  const int64_t height = features.extent(1), width = features.extent(2);
  const Tensor map = features.slice(image, image + 1).reshape({height * width, features.extent(3)});
  std::vector<Candidate> candidates = find_candidates(context, cells, image, config);
  measure(context, cells, map, config, candidates);
  if (candidates.empty()) return {};
  keep_best(candidates, static_cast<size_t>(config.candidates));
  suppress(context, config, (height * width + 63) / 64, candidates);
  if (candidates.empty()) return {};
  keep_best(candidates, static_cast<size_t>(config.max_detections));

  std::vector<Detection> detections;
  const Tensor logits = mask_logits(context, cells, map, candidates, 0, candidates.size());
  const Tensor bits = mask_enlarge(context, logits.reshape({logits.extent(0), height, width}),
                                   {.stride = kMaskStride,
                                    .cut_height = geometry.resized_height,
                                    .cut_width = geometry.resized_width,
                                    .out_height = geometry.original_height,
                                    .out_width = geometry.original_width,
                                    .threshold = config.mask_threshold});
  if (context.backend() == Backend::plan) return detections;
  const std::vector<uint8_t> pixels = bits.to_host<uint8_t>(context);
  for (size_t i = 0; i < candidates.size(); ++i) {
    Detection detection;
    detection.score = candidates[i].score;
    detection.label = candidates[i].label;
    detection.has_mask = true;
    detection.mask = tight_mask(pixels.data() + i * (pixels.size() / candidates.size()), geometry.original_height,
                                geometry.original_width);
    // A mask may vanish between the map and the picture.
    if (detection.mask.width == 0) continue;
    detection.box = {static_cast<float>(detection.mask.x), static_cast<float>(detection.mask.y),
                     static_cast<float>(detection.mask.x + detection.mask.width),
                     static_cast<float>(detection.mask.y + detection.mask.height)};
    detections.push_back(std::move(detection));
  }
  return detections;
}

}  // namespace tessera
