// Second half of the checks: what needs the whole file, after its last entry.
#include <algorithm>
#include <numeric>

#include "data/annotations/coco_builder.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

// Sorts by id and reports ids that occur more than once.
template <typename Entry>
void sort_by_id(std::vector<Entry>& entries, const char* rule, const char* subject, FindingLog& log) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.id < b.id; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].id == entries[i - 1].id) {
      log.report(Severity::error, rule, subject, entries[i].id, [&] { return fmt::format("is listed twice"); });
    }
  }
}

}  // namespace

CocoDataset CocoBuilder::finish(bool complete) {
  if (!complete) {
    CocoDataset empty;
    empty.findings_ = log_.findings();
    return empty;
  }
  sort_images_and_categories();
  check_duplicate_annotations();
  resolve_links();
  links_.clear();
  index_by_image();
  const auto note = [&](const char* rule, int64_t count, const std::string& text) {
    if (count > 0) log_.report(Severity::warning, rule, "file", 0, [&] { return text; });
  };
  note("no-images", dataset_.images_.empty(), "\"images\" is empty");
  note("no-categories", dataset_.categories_.empty(), "\"categories\" is empty");
  note("no-annotations", dataset_.annotations_.empty(), "no annotation is left: evaluation has nothing to compare");
  dataset_.findings_ = log_.findings();
  return std::move(dataset_);
}

void CocoBuilder::sort_images_and_categories() {
  sort_by_id(dataset_.images_, "duplicate-image-id", "image", log_);
  sort_by_id(dataset_.categories_, "duplicate-category-id", "category", log_);
}

void CocoBuilder::check_duplicate_annotations() {
  std::vector<int64_t> ids;
  ids.reserve(dataset_.annotations_.size());
  for (const CocoAnnotation& annotation : dataset_.annotations_) ids.push_back(annotation.id);
  std::sort(ids.begin(), ids.end());
  for (size_t i = 1; i < ids.size(); ++i) {
    if (ids[i] == ids[i - 1] && (i < 2 || ids[i] != ids[i - 2])) {
      log_.report(Severity::error, "duplicate-annotation-id", "annotation", ids[i],
                  [] { return "has an id used more than once"; });
    }
  }
}

void CocoBuilder::resolve_links() {
  size_t kept = 0;
  for (size_t i = 0; i < dataset_.annotations_.size(); ++i) {
    CocoAnnotation annotation = dataset_.annotations_[i];
    annotation.image = dataset_.image_index(links_[i].image_id);
    annotation.category = dataset_.category_index(links_[i].category_id);
    if (annotation.category < 0) {
      log_.report(Severity::error, "unknown-category", "annotation", annotation.id, [&] {
        return fmt::format("uses category_id {}, which \"categories\" does not list", links_[i].category_id);
      });
      continue;
    }
    if (annotation.image < 0) {
      if (std::find(rejected_images_.begin(), rejected_images_.end(), links_[i].image_id) != rejected_images_.end())
        continue;
      log_.report(Severity::warning, "unknown-image", "annotation", annotation.id, [&] {
        return fmt::format("uses image_id {}, which \"images\" does not list; the annotation is dropped",
                           links_[i].image_id);
      });
      continue;
    }
    check_geometry(annotation, links_[i]);
    dataset_.annotations_[kept++] = annotation;
  }
  dataset_.annotations_.resize_down(kept);
}

void CocoBuilder::check_geometry(CocoAnnotation& annotation, const Link& link) {
  const CocoImage& image = dataset_.images_[static_cast<size_t>(annotation.image)];
  const auto warn = [&](const char* rule, const char* detail) {
    log_.report(Severity::warning, rule, "annotation", annotation.id, [&] { return detail; });
  };
  if (annotation.kind == SegmentationKind::rle) {
    const CocoDataset::RleText& rle = dataset_.rles_[annotation.first];
    if (rle.height != image.height || rle.width != image.width) {
      log_.report(Severity::error, "rle-size", "annotation", annotation.id, [&] {
        return fmt::format("has an RLE of size [{}, {}] in image {} of height {} and width {}", rle.height, rle.width,
                           image.id, image.height, image.width);
      });
      return;
    }
  }
  if (link.area_missing || link.box_missing) {
    if (annotation.kind == SegmentationKind::none) {
      if (link.box_missing) {
        log_.report(Severity::error, "no-mask-no-box", "annotation", annotation.id,
                    [] { return "has neither a usable segmentation nor a bbox"; });
        return;
      }
      annotation.area = std::max(0.0, annotation.box.w) * std::max(0.0, annotation.box.h);
    } else {
      const Rle mask = dataset_.mask(annotation);
      if (link.area_missing) annotation.area = rle_area(mask);
      if (link.box_missing) annotation.box = rle_box(mask);
    }
  }
  // A pixel of slack: annotation tools overshoot the border by fractions.
  bool outside = false;
  for (uint32_t p = 0; annotation.kind == SegmentationKind::polygons && p < annotation.parts; ++p) {
    const CocoDataset::Polygon& polygon = dataset_.polygons_[annotation.first + p];
    for (uint32_t i = 0; i < polygon.numbers; ++i) {
      const double value =
          polygon.hundredths ? dataset_.hundredths_[polygon.first + i] / 100.0 : dataset_.doubles_[polygon.first + i];
      outside |= value < -1 || value > (i % 2 == 0 ? image.width : image.height) + 1;
    }
  }
  if (outside) warn("polygon-outside", "has a polygon that leaves the picture; clipped to its border");
  const BoxXywh& box = annotation.box;
  if (!(box.w > 0 && box.h > 0)) {
    warn("empty-bbox", "has a bbox without extent; left out of training");
    annotation.trainable = false;
  } else if (box.x >= image.width || box.y >= image.height || box.x + box.w <= 0 || box.y + box.h <= 0) {
    warn("bbox-outside", "has a bbox outside the picture; left out of training");
    annotation.trainable = false;
  } else if (box.x < -1 || box.y < -1 || box.x + box.w > image.width + 1 || box.y + box.h > image.height + 1) {
    warn("bbox-clipped", "has a bbox that leaves the picture; clipped for training");
  }
  if (annotation.crowd || annotation.kind == SegmentationKind::none) annotation.trainable = false;
}

void CocoBuilder::index_by_image() {
  std::vector<uint32_t>& first = dataset_.image_first_;
  first.assign(dataset_.images_.size() + 1, 0);
  for (const CocoAnnotation& annotation : dataset_.annotations_) ++first[static_cast<size_t>(annotation.image) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<uint32_t> next(first.begin(), first.end() - 1);
  dataset_.by_image_.resize(dataset_.annotations_.size());
  for (size_t i = 0; i < dataset_.annotations_.size(); ++i) {
    dataset_.by_image_[next[static_cast<size_t>(dataset_.annotations_[i].image)]++] = static_cast<uint32_t>(i);
  }
}

}  // namespace tessera
