#include "data/evaluation/cityscapes_eval.h"

#include <algorithm>
#include <map>

#include "engine/core/error.h"
#include "engine/io/json_text.h"

namespace tessera {

namespace {

// Class ids that the benchmark does not evaluate. They make a pixel void where the map holds the id itself; instances
// of caravans and trailers (29001, ...) are not void there, nor are they here.
constexpr int kVoidIds[] = {0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30};

bool is_void(uint16_t value) { return std::ranges::find(kVoidIds, value) != std::end(kVoidIds); }

double threshold(int index) { return 0.5 + 0.05 * index; }

struct Overlap {
  size_t other = 0;  // index of the object or the prediction
  int64_t pixels = 0;
};

struct TruthObject {
  uint16_t value = 0;
  int64_t pixels = 0;
  bool is_group = false;
  std::vector<Overlap> predictions;

  bool counts() const { return !is_group && pixels >= CityscapesEvaluator::kLeastPixels; }
};

struct Predicted {
  double score = 0;
  int64_t pixels = 0, void_pixels = 0;
  std::vector<Overlap> objects;
};

// Pixels of each value under a mask.
std::map<uint16_t, int64_t> values_under(const Rle& mask, const Gray16& truth) {
  std::map<uint16_t, int64_t> counts;
  uint64_t at = 0;
  const auto height = static_cast<uint64_t>(truth.height);
  for (size_t run = 0; run < mask.counts.size(); at += mask.counts[run], ++run) {
    if (run % 2 == 0) continue;
    for (uint64_t p = at; p < at + mask.counts[run]; ++p)
      ++counts[truth.at(static_cast<int>(p % height), static_cast<int>(p / height))];
  }
  return counts;
}

double intersection_over_union(int64_t intersection, int64_t a, int64_t b) {
  return static_cast<double>(intersection) / static_cast<double>(a + b - intersection);
}

// The integral of the precision over the recall in steps; the curve runs from the lowest score (all predictions) to a
// point of precision 1 and recall 0.
double average_precision(std::vector<std::pair<double, bool>> scored, int64_t missed) {
  std::ranges::stable_sort(scored, {}, [](const auto& entry) { return entry.first; });
  const auto total = static_cast<int64_t>(scored.size());
  int64_t hits = std::ranges::count_if(scored, [](const auto& entry) { return entry.second; });
  const auto objects = static_cast<double>(hits + missed);
  std::vector<double> precision, recall;
  for (int64_t i = 0; i < total;) {
    precision.push_back(static_cast<double>(hits) / static_cast<double>(total - i));
    recall.push_back(static_cast<double>(hits) / objects);
    const double score = scored[static_cast<size_t>(i)].first;
    for (; i < total && scored[static_cast<size_t>(i)].first == score; ++i)
      hits -= scored[static_cast<size_t>(i)].second;
  }
  precision.push_back(1);
  recall.push_back(0);
  double area = 0;
  for (size_t i = 0; i < recall.size(); ++i) {
    const double before = recall[i == 0 ? 0 : i - 1], after = i + 1 < recall.size() ? recall[i + 1] : 0.0;
    area += precision[i] * 0.5 * (before - after);
  }
  return area;
}

std::string text_of(const std::optional<double>& value) { return value ? fmt::format("{:.3f}", *value) : "n/a"; }
std::string json_of(const std::optional<double>& value) { return value ? json_number(*value) : "null"; }

}  // namespace

void CityscapesEvaluator::add(const Gray16& truth, std::span<const CityscapesPrediction> predictions) {
  ++images_;
  std::map<uint16_t, int64_t> pixels_of;
  for (const uint16_t value : truth.values) ++pixels_of[value];
  for (size_t index = 0; index < kClasses; ++index) {
    const int class_id = kCityscapesClasses[index].id;
    std::vector<TruthObject> objects;
    std::map<uint16_t, size_t> object_of;
    for (const auto& [value, pixels] : pixels_of) {
      const std::optional<CityscapesLabel> label = cityscapes_label(value);
      if (!label || label->class_id != class_id) continue;
      object_of[value] = objects.size();
      objects.push_back({value, pixels, label->is_group, {}});
    }
    std::vector<Predicted> predicted;
    for (const CityscapesPrediction& prediction : predictions) {
      if (prediction.class_id != class_id) continue;
      if (prediction.mask.height != truth.height || prediction.mask.width != truth.width) {
        throw Error(ExitCode::data,
                    fmt::format("a predicted mask of {} x {} for a picture of {} x {}", prediction.mask.width,
                                prediction.mask.height, truth.width, truth.height));
      }
      Predicted entry;
      entry.score = prediction.score;
      for (const auto& [value, pixels] : values_under(prediction.mask, truth)) {
        entry.pixels += pixels;
        if (is_void(value)) entry.void_pixels += pixels;
        if (const auto found = object_of.find(value); found != object_of.end()) {
          entry.objects.push_back({found->second, pixels});
          objects[found->second].predictions.push_back({predicted.size(), pixels});
        }
      }
      if (entry.pixels > 0) predicted.push_back(std::move(entry));
    }
    predictions_ += static_cast<int64_t>(predicted.size());

    PerClass& out = classes_[index];
    out.has_prediction = out.has_prediction || !predicted.empty();
    for (const TruthObject& object : objects) out.has_truth = out.has_truth || object.counts();
    for (int t = 0; t < kThresholds; ++t) {
      Curve& curve = out.curves[static_cast<size_t>(t)];
      for (const TruthObject& object : objects) {
        if (!object.counts()) continue;
        std::optional<double> best;
        for (const Overlap& overlap : object.predictions) {
          const Predicted& prediction = predicted[overlap.other];
          if (!(intersection_over_union(overlap.pixels, object.pixels, prediction.pixels) > threshold(t))) continue;
          // A second prediction of one object is an error, whichever of the two has the lower score.
          if (best) curve.scored.emplace_back(std::min(*best, prediction.score), false);
          best = best ? std::max(*best, prediction.score) : prediction.score;
        }
        if (best)
          curve.scored.emplace_back(*best, true);
        else
          ++curve.missed;
      }
      for (const Predicted& prediction : predicted) {
        bool matches = false;
        int64_t ignored = prediction.void_pixels;
        for (const Overlap& overlap : prediction.objects) {
          const TruthObject& object = objects[overlap.other];
          matches = matches || intersection_over_union(overlap.pixels, object.pixels, prediction.pixels) > threshold(t);
          if (object.is_group) ignored += overlap.pixels;
          if (object.pixels < kLeastPixels) ignored += overlap.pixels;  // a small group counts twice, as there
        }
        if (matches) continue;
        if (static_cast<double>(ignored) / static_cast<double>(prediction.pixels) <= threshold(t))
          curve.scored.emplace_back(prediction.score, false);
      }
    }
  }
}

CityscapesEvaluation CityscapesEvaluator::finish() const {
  CityscapesEvaluation evaluation;
  evaluation.images = images_;
  evaluation.predictions = predictions_;
  double sum = 0, sum50 = 0;
  int counted = 0;
  for (size_t index = 0; index < kClasses; ++index) {
    const PerClass& entry = classes_[index];
    CityscapesEvaluation::ClassPrecision precision{
        kCityscapesClasses[index].id, kCityscapesClasses[index].name, {}, {}};
    if (entry.has_truth) {
      double mean = 0;
      for (int t = 0; t < kThresholds; ++t) {
        const Curve& curve = entry.curves[static_cast<size_t>(t)];
        const double ap = curve.scored.empty() ? 0.0 : average_precision(curve.scored, curve.missed);
        if (t == 0) precision.ap50 = ap;
        mean += ap;
      }
      mean /= kThresholds;
      precision.ap = mean;
      sum += mean;
      sum50 += *precision.ap50;
      ++counted;
    }
    evaluation.per_class.push_back(std::move(precision));
  }
  if (counted > 0) {
    evaluation.ap = sum / counted;
    evaluation.ap50 = sum50 / counted;
  }
  return evaluation;
}

CityscapesEvaluation evaluate_cityscapes(const CocoDataset& truth, const std::filesystem::path& gt_fine,
                                         const CocoResults& results) {
  std::map<int64_t, std::vector<const CocoResult*>> by_image;
  for (const CocoResult& result : results.entries()) {
    if (truth.image_index(result.image_id) < 0) {
      throw Error(ExitCode::data,
                  fmt::format("a result of picture {}, which the annotations do not list", result.image_id),
                  "results and annotations of the same split");
    }
    if (!result.has_mask()) {
      throw Error(ExitCode::data, fmt::format("a result of picture {} has no mask", result.image_id),
                  "results with \"segmentation\"");
    }
    by_image[result.image_id].push_back(&result);
  }
  CityscapesEvaluator evaluator;
  for (const CocoImage& image : truth.images()) {
    const Gray16 instances = load_gray16(gt_fine / cityscapes_instance_file(image.file_name));
    std::vector<CityscapesPrediction> predictions;
    for (const CocoResult* result : by_image[image.id])
      predictions.push_back({static_cast<int>(result->category_id), result->score, results.mask(*result)});
    evaluator.add(instances, predictions);
  }
  return evaluator.finish();
}

std::string cityscapes_evaluation_to_json(const CityscapesEvaluation& evaluation) {
  std::string classes;
  for (const auto& entry : evaluation.per_class) {
    classes += (classes.empty() ? "" : ", ") + JsonObject()
                                                   .add("id", entry.id)
                                                   .add("name", entry.name)
                                                   .add_raw("AP", json_of(entry.ap))
                                                   .add_raw("AP50", json_of(entry.ap50))
                                                   .text();
  }
  return JsonObject()
      .add_raw("cityscapes", JsonObject()
                                 .add_raw("AP", json_of(evaluation.ap))
                                 .add_raw("AP50", json_of(evaluation.ap50))
                                 .add("images", evaluation.images)
                                 .add("predictions", evaluation.predictions)
                                 .add_raw("per_class", "[" + classes + "]")
                                 .text())
      .text();
}

std::string cityscapes_evaluation_table(const CityscapesEvaluation& evaluation) {
  std::string text = fmt::format("Cityscapes protocol, {} pictures, {} predictions\n{:<12} {:>7} {:>7}\n",
                                 evaluation.images, evaluation.predictions, "class", "AP", "AP50");
  for (const auto& entry : evaluation.per_class)
    text += fmt::format("{:<12} {:>7} {:>7}\n", entry.name, text_of(entry.ap), text_of(entry.ap50));
  return text + fmt::format("{:<12} {:>7} {:>7}\n", "mean", text_of(evaluation.ap), text_of(evaluation.ap50));
}

}  // namespace tessera
