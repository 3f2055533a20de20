#include "models/anchor_free/inference.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/ops/linear.h"
#include "engine/ops/mask_binarize.h"
#include "engine/ops/mask_candidates.h"
#include "engine/ops/mask_enlarge.h"
#include "engine/ops/mask_nms.h"
#include "engine/ops/point_nms.h"
#include "engine/ops/row_gather.h"
#include "engine/ops/select_top_k.h"
#include "engine/ops/sigmoid.h"
#include "engine/ops/softmax_cross_entropy.h"

namespace tessera {

namespace {

constexpr int64_t kMaskStride = 4;  // of the mask features

// Of one picture, as many as the capacity; those beyond the count are zeros.
struct MaskCandidates {
  Tensor count;  // i32 [1]
  Tensor rows;   // i32 [M] of the cells
  Tensor labels;
  Tensor scores;
  Tensor least_areas;  // i32 [M], until they are measured
  Tensor areas, words;

  MaskCandidates taken(Context& context, const RankedPlaces& order, const Tensor& new_scores) const {
    MaskCandidates best;
    best.count = order.kept;
    best.rows = take_rows(context, rows, order);
    best.labels = take_rows(context, labels, order);
    best.scores = take_rows(context, new_scores, order);
    if (areas.defined()) best.areas = take_rows(context, areas, order);
    if (words.defined()) best.words = take_rows(context, words, order);
    return best;
  }
};

// How many of `capacity` entries have to be computed: all of them on a device, where the count is not known yet. The
// CPU has it at hand, and saves the rest.
int64_t entries_of(Context& context, const Tensor& count, int64_t capacity) {
  if (context.backend() != Backend::cpu) return capacity;
  return std::clamp<int64_t>(count.to_host<int32_t>(context)[0], 1, capacity);
}

// Probabilities [R, classes] of all cells.
Tensor class_scores(Context& context, const Tensor& logits, const AnchorFreeConfig& config) {
  if (config.class_loss == ClassLoss::ce) return softmax(context, logits, config.classes);
  Tape tape(context, Tape::Mode::forward);
  return sigmoid(tape, logits).value;
}

// The best pairs of a cell of the picture and a class above the threshold, by falling score.
MaskCandidates best_cells(Context& context, const TopKSelection& selection, int64_t image,
                          const AnchorFreeConfig& config) {
  const int64_t levels = selection.values.extent(1), per_level = selection.values.extent(2);
  const auto of_image = [&](const Tensor& tensor) {
    return tensor.slice(image, image + 1).reshape({levels * per_level});
  };
  MaskCandidates all;
  all.rows = of_image(selection.rows);
  all.labels = of_image(selection.classes);
  const Tensor scores = of_image(selection.values);
  // Places without an entry hold 0.
  const float above = std::nextafter(config.score_threshold, std::numeric_limits<float>::infinity());
  const RankedPlaces order =
      rank_scores(context, scores, all.rows, all.labels, {},
                  {.capacity = std::min<int64_t>(config.measured, levels * per_level), .least = above});
  std::vector<int32_t> least_areas;
  for (int64_t level = 0; level < levels; ++level) {
    least_areas.insert(least_areas.end(), static_cast<size_t>(per_level),
                       config.least_areas[static_cast<size_t>(level)]);
  }
  MaskCandidates best = all.taken(context, order, scores);
  best.least_areas = take_rows(context, Tensor::constant<int32_t>(context, {levels * per_level}, least_areas), order);
  return best;
}

// Mask logits [n, h * w] of the cells in `rows` [n].
Tensor mask_logits(Context& context, const CellPredictions& cells, const Tensor& map, const Tensor& rows) {
  Tape tape(context, Tape::Mode::forward);
  return linear(tape, row_gather(tape, cells.kernels.value, rows), map).value;
}

// Bits, areas and maskness of the candidates, a chunk at a time; the best of those with enough pixels.
MaskCandidates measured(Context& context, const CellPredictions& cells, const Tensor& map,
                        const AnchorFreeConfig& config, MaskCandidates candidates) {
  const int64_t capacity = candidates.rows.elements();
  const int64_t entries = entries_of(context, candidates.count, capacity);
  // One cell may be a candidate for several classes, with the same mask: it is made once for each of them, which keeps
  // the chunks plain.
  candidates.words = Tensor::empty(context, {entries, (map.extent(0) + 63) / 64}, DType::i64, "candidates");
  candidates.areas = Tensor::empty(context, {entries}, DType::i32, "candidates");
  const Tensor maskness = Tensor::empty(context, {entries}, DType::f32, "candidates");
  for (int64_t begin = 0; begin < entries; begin += config.chunk) {
    const int64_t end = std::min(begin + config.chunk, entries);
    const BinaryMasks masks = mask_binarize(
        context, mask_logits(context, cells, map, candidates.rows.slice(begin, end)), config.mask_threshold);
    candidates.words.slice(begin, end).copy_from(context, masks.words);
    candidates.areas.slice(begin, end).copy_from(context, masks.areas);
    maskness.slice(begin, end).copy_from(context, masks.maskness);
  }
  const Tensor weighed = weigh_masks(context, candidates.scores.slice(0, entries), maskness, candidates.areas,
                                     candidates.least_areas.slice(0, entries));
  const RankedPlaces order =
      rank_scores(context, weighed, candidates.rows.slice(0, entries), candidates.labels.slice(0, entries),
                  candidates.count, {.capacity = std::min<int64_t>(config.candidates, entries)});
  return candidates.taken(context, order, weighed);
}

// The best candidates with their new scores; those that are suppressed are gone.
MaskCandidates suppressed(Context& context, const AnchorFreeConfig& config, const MaskCandidates& candidates) {
  const Tensor overlaps = mask_overlap(context, candidates.words, candidates.areas, candidates.labels);
  RankScoresOptions options{.capacity = std::min<int64_t>(config.max_detections, candidates.rows.elements())};
  Tensor scores;
  if (config.suppression == MaskSuppression::mask) {
    scores = keep_scores(context, candidates.scores, greedy_nms(context, overlaps, config.nms_threshold));
  } else {
    scores =
        matrix_nms(context, overlaps, candidates.scores,
                   {.gaussian = config.suppression == MaskSuppression::matrix_gaussian, .sigma = config.nms_sigma});
    options.least = config.keep_threshold;
  }
  // Ties go by the order before: it is that of the scores before.
  const RankedPlaces order = rank_scores(context, scores, {}, {}, candidates.count, options);
  MaskCandidates bare;
  bare.rows = candidates.rows;
  bare.labels = candidates.labels;
  return bare.taken(context, order, scores);
}

}  // namespace

std::vector<PackedDetections> detect_masks(Context& context, const CellPredictions& cells, const Tensor& features,
                                           const std::vector<ImageGeometry>& geometry, const AnchorFreeConfig& config) {
  const int64_t height = features.extent(1), width = features.extent(2);
  const TopKSelection selection = select_top_k(
      context, point_nms(context, class_scores(context, cells.logits.value, config), cells.geometry), {},
      cells.geometry, {.rule = CandidateRule::given, .threshold = config.score_threshold, .k = config.measured});
  std::vector<PackedDetections> detections;
  for (size_t at = 0; at < geometry.size(); ++at) {
    const auto image = static_cast<int64_t>(at);
    const Tensor map = features.slice(image, image + 1).reshape({height * width, features.extent(3)});
    const MaskCandidates found = suppressed(
        context, config, measured(context, cells, map, config, best_cells(context, selection, image, config)));
    const int64_t entries = entries_of(context, found.count, found.rows.elements());
    const Tensor logits = mask_logits(context, cells, map, found.rows.slice(0, entries));
    PackedDetections& packed = detections.emplace_back();
    packed.count = found.count;
    packed.scores = found.scores;
    packed.labels = found.labels;
    packed.bits = mask_enlarge(context, logits.reshape({entries, height, width}),
                               {.stride = kMaskStride,
                                .cut_height = geometry[at].resized_height,
                                .cut_width = geometry[at].resized_width,
                                .out_height = geometry[at].original_height,
                                .out_width = geometry[at].original_width,
                                .threshold = config.mask_threshold});
  }
  return detections;
}

}  // namespace tessera
