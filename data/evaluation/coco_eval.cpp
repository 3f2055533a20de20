#include "data/evaluation/coco_eval.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>

#include "data/evaluation/coco_accumulate.h"
#include "data/evaluation/coco_match.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

// pycocotools' loadRes: the first result decides for all whether boxes are given or derived from the masks.
void check_results(const CocoDataset& truth, const CocoResults& results, bool boxes_given) {
  for (size_t i = 0; i < results.size(); ++i) {
    const CocoResult& entry = results.entries()[i];
    const auto fail = [&](const std::string& what) {
      throw Error(ExitCode::data, fmt::format("result {} of the list {}", i, what),
                  "evaluate results and annotations of the same pictures");
    };
    const int image = truth.image_index(entry.image_id);
    if (image < 0) fail(fmt::format("is of image_id {}, which the annotations do not list", entry.image_id));
    const CocoImage& picture = truth.images()[static_cast<size_t>(image)];
    if (entry.has_mask() && (entry.mask_height != picture.height || entry.mask_width != picture.width)) {
      fail(fmt::format("has a mask of {} x {}, but image {} has height {} and width {}", entry.mask_height,
                       entry.mask_width, picture.id, picture.height, picture.width));
    }
    if (boxes_given && !entry.has_box) fail("has no bbox, but the first result has one");
    if (!boxes_given && !entry.has_mask()) fail("has neither bbox nor mask");
    if (entry.has_box && !(std::isfinite(entry.box.x) && std::isfinite(entry.box.y) && std::isfinite(entry.box.w) &&
                           std::isfinite(entry.box.h))) {
      fail("has a bbox that is not finite");
    }
  }
}

}  // namespace

const std::optional<double>& CocoEvaluation::metric(std::string_view name) const {
  const auto found = std::find(kCocoMetricNames.begin(), kCocoMetricNames.end(), name);
  TESSERA_CHECK(found != kCocoMetricNames.end(), "no metric {}", name);
  return metrics[static_cast<size_t>(found - kCocoMetricNames.begin())];
}

CocoEvaluation evaluate_coco(const CocoDataset& truth, const CocoResults& results, const CocoEvalOptions& options) {
  const bool boxes_given = results.size() > 0 && results.entries()[0].has_box;
  check_results(truth, results, boxes_given);
  CocoEvaluation evaluation;
  evaluation.overlap = options.overlap;

  // Results of known categories by image, in the order of the list.
  const size_t images = truth.images().size();
  std::vector<std::vector<uint32_t>> by_image(images);
  for (size_t i = 0; i < results.size(); ++i) {
    const CocoResult& entry = results.entries()[i];
    if (truth.category_index(entry.category_id) < 0) {
      ++evaluation.unknown_category;
    } else {
      by_image[static_cast<size_t>(truth.image_index(entry.image_id))].push_back(static_cast<uint32_t>(i));
    }
  }
  const int threads = options.threads > 0 ? options.threads : omp_get_max_threads();
  std::vector<std::vector<MatchedBucket>> matched(images);
  std::exception_ptr failure;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (size_t image = 0; image < images; ++image) {
    try {
      matched[image] = match_image(truth, static_cast<int>(image), results, by_image[image], boxes_given, options);
    } catch (...) {
#pragma omp critical(coco_eval_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);

  const size_t categories = options.use_categories ? truth.categories().size() : 1;
  std::vector<std::vector<const MatchedBucket*>> by_category(categories);  // in ascending order of image ids
  for (const auto& buckets : matched) {
    for (const MatchedBucket& bucket : buckets) by_category[static_cast<size_t>(bucket.category)].push_back(&bucket);
  }
  std::vector<CategoryCurves> curves(categories);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (size_t category = 0; category < categories; ++category) curves[category] = accumulate(by_category[category]);

  evaluation.metrics = summarize(curves);
  for (size_t category = 0; category < categories; ++category) {
    CategoryPrecision entry;
    if (options.use_categories) {
      entry.id = truth.categories()[category].id;
      entry.name = truth.categories()[category].name;
    } else {
      entry.name = "all";
    }
    entry.ap = summarize(std::span(&curves[category], 1))[0];
    evaluation.per_category.push_back(std::move(entry));
  }
  return evaluation;
}

}  // namespace tessera
