// First half of the checks: what one entry shows by itself.
#include "data/annotations/coco_builder.h"

#include <algorithm>
#include <cmath>

#include "data/annotations/polygon.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

constexpr int64_t kMaxSide = 1'000'000;

bool leaves_folder(const std::string& name) {
  const std::filesystem::path path(name);
  if (path.is_absolute()) return true;
  return std::any_of(path.begin(), path.end(), [](const std::filesystem::path& part) { return part == ".."; });
}

}  // namespace

void CocoBuilder::add(const PendingImage& pending) {
  const int64_t index = images_seen_++;
  const auto error = [&](const char* rule, const char* subject, int64_t id, const std::string& detail) {
    log_.report(Severity::error, rule, subject, id, [&] { return detail; });
    if (pending.id && rejected_images_.size() < 1000) rejected_images_.push_back(*pending.id);
  };
  if (pending.problem.rule != nullptr) {
    const bool known = pending.id.has_value();
    error(pending.problem.rule, known ? "image" : "image at index", known ? *pending.id : index,
          pending.problem.detail);
    return;
  }
  if (!pending.id) return error("image-without-id", "image at index", index, "has no \"id\"");
  const int64_t id = *pending.id;
  if (!pending.height || !pending.width) {
    return error("image-without-size", "image", id, fmt::format("has no \"{}\"", pending.height ? "width" : "height"));
  }
  const int64_t height = *pending.height, width = *pending.width;
  if (height <= 0 || width <= 0 || height > kMaxSide || width > kMaxSide || height * width >= int64_t{1} << 32) {
    return error("image-size", "image", id, fmt::format("has width {} and height {}", width, height));
  }
  if (!pending.file_name && options_.need_file_names) {
    return error("image-without-file-name", "image", id, "has no \"file_name\"");
  }
  if (pending.file_name && !options_.allow_outside && leaves_folder(*pending.file_name)) {
    return error("file-name-outside", "image", id,
                 fmt::format("has file_name \"{}\", which leads out of the image folder (allowed by --allow-outside, "
                             "when training by data.allow_outside=true)",
                             *pending.file_name));
  }
  dataset_.images_.push_back(
      {id, static_cast<int>(height), static_cast<int>(width), pending.file_name.value_or(std::string())});
}

void CocoBuilder::add(const PendingCategory& pending) {
  const int64_t index = categories_seen_++;
  if (pending.problem.rule != nullptr || !pending.id) {
    const bool known = pending.id.has_value();
    log_.report(Severity::error, pending.problem.rule != nullptr ? pending.problem.rule : "category-without-id",
                known ? "category" : "category at index", known ? *pending.id : index,
                [&] { return pending.problem.rule != nullptr ? pending.problem.detail : "has no \"id\""; });
    return;
  }
  if (!pending.name) {
    log_.report(Severity::warning, "category-without-name", "category", *pending.id,
                [] { return "has no \"name\"; its id is shown instead"; });
  }
  dataset_.categories_.push_back({*pending.id, pending.name ? *pending.name : fmt::format("{}", *pending.id)});
}

void CocoBuilder::add(PendingAnnotation& pending) {
  const int64_t index = annotations_seen_++;
  CocoAnnotation annotation;
  if (pending.has_rle) {
    add_rle(pending, annotation);
  } else {
    add_polygons(pending, annotation);
  }
  if (!pending.id) pending.problem.set("annotation-without-id", "has no \"id\"");
  if (!pending.image_id) pending.problem.set("annotation-without-image-id", "has no \"image_id\"");
  if (!pending.category_id) pending.problem.set("annotation-without-category-id", "has no \"category_id\"");
  if (!pending.has_segmentation && options_.need_masks) {
    pending.problem.set("annotation-without-segmentation", "has no \"segmentation\"");
  }
  if (!pending.box.empty() && pending.box.size() != 4) {
    pending.problem.set("bbox-values",
                        fmt::format("has a bbox of {} values, expected x, y, width, height", pending.box.size()));
  }
  if (pending.problem.rule != nullptr) {
    log_.report(Severity::error, pending.problem.rule, pending.id ? "annotation" : "annotation at index",
                pending.id.value_or(index), [&] { return pending.problem.detail; });
    return;
  }
  annotation.id = *pending.id;
  annotation.crowd = pending.crowd;
  annotation.area = pending.area.value_or(0);
  if (!pending.box.empty()) annotation.box = {pending.box[0], pending.box[1], pending.box[2], pending.box[3]};
  const auto warn = [&](const char* rule, const char* detail) {
    log_.report(Severity::warning, rule, "annotation", annotation.id, [&] { return detail; });
  };
  bool area_missing = !pending.area;
  if (area_missing) warn("annotation-without-area", "has no \"area\"; computed from the mask");
  if (!area_missing && annotation.area < 0) {
    warn("negative-area", "has a negative area; computed from the mask");
    area_missing = true;
  }
  if (pending.box.empty()) warn("annotation-without-bbox", "has no \"bbox\"; computed from the mask");
  if (annotation.id == 0)
    warn("annotation-id-zero", "has id 0, which pycocotools takes for \"not matched\"; counted normally here");
  if (annotation.kind == SegmentationKind::none) {
    warn("no-mask", "has no usable segmentation; left out of training and of mask evaluation");
  }
  dataset_.annotations_.push_back(annotation);
  links_.push_back({*pending.image_id, *pending.category_id, area_missing, pending.box.empty()});
}

void CocoBuilder::add_polygons(PendingAnnotation& pending, CocoAnnotation& annotation) {
  if (pending.problem.rule != nullptr) return;
  const int64_t id = pending.id.value_or(0);
  const size_t first = dataset_.polygons_.size();
  double area = 0;
  size_t begin = 0;
  for (size_t end : pending.polygon_ends) {
    const std::span<const double> points(pending.numbers.data() + begin, end - begin);
    begin = end;
    if (const double extent = polygon_extent(points); extent > kMaxPolygonCoordinate) {
      pending.problem.set("coordinate-range",
                          fmt::format("has a polygon coordinate of {:g}, beyond {:g}", extent, kMaxPolygonCoordinate));
      return;
    }
    if (points.size() % 2 != 0 || points.size() < 6) {
      log_.report(Severity::warning, points.size() < 6 ? "short-polygon" : "odd-polygon", "annotation", id, [&] {
        return fmt::format("has a polygon of {} numbers, expected an even count of at least 6; the polygon is dropped",
                           points.size());
      });
      continue;
    }
    area += polygon_area(points);
    // Lossless as hundredths? COCO's coordinates have two decimals.
    const bool hundredths = std::all_of(points.begin(), points.end(),
                                        [](double value) { return std::round(value * 100) / 100.0 == value; });
    if (hundredths) {
      dataset_.polygons_.push_back({dataset_.hundredths_.size(), static_cast<uint32_t>(points.size()), true});
      for (double value : points) dataset_.hundredths_.push_back(static_cast<int32_t>(std::round(value * 100)));
    } else {
      dataset_.polygons_.push_back({dataset_.doubles_.size(), static_cast<uint32_t>(points.size()), false});
      dataset_.doubles_.append(points.data(), points.size());
    }
  }
  annotation.first = static_cast<uint32_t>(first);
  annotation.parts = static_cast<uint32_t>(dataset_.polygons_.size() - first);
  if (annotation.parts == 0) return;
  annotation.kind = SegmentationKind::polygons;
  if (area == 0) {
    annotation.trainable = false;
    log_.report(Severity::warning, "zero-area-polygon", "annotation", id,
                [] { return "has polygons without area; kept in evaluation, left out of training"; });
  }
}

void CocoBuilder::add_rle(PendingAnnotation& pending, CocoAnnotation& annotation) {
  if (pending.problem.rule != nullptr) return;
  const std::vector<int64_t>& size = pending.rle_size;
  if (size.size() != 2) return pending.problem.set("rle-size", "has an RLE without a \"size\" of [height, width]");
  for (int64_t side : size) {
    if (side <= 0 || side > kMaxSide)
      return pending.problem.set("rle-size", fmt::format("has an RLE of size [{}, {}]", size[0], size[1]));
  }
  const int height = static_cast<int>(size[0]), width = static_cast<int>(size[1]);
  try {
    std::string text;
    if (pending.rle_text) {
      rle_from_string(*pending.rle_text, height, width);
      text = *pending.rle_text;
    } else if (pending.rle_counts) {
      Rle rle{height, width, {}};
      for (int64_t count : *pending.rle_counts) {
        if (count < 0 || count > INT64_C(0xffffffff)) {
          return pending.problem.set("rle-counts", fmt::format("has an RLE with a run of {}", count));
        }
        rle.counts.push_back(static_cast<uint32_t>(count));
      }
      rle_validate(rle);
      text = rle_to_string(rle);
    } else {
      return pending.problem.set("rle-counts", "has an RLE without \"counts\"");
    }
    annotation.kind = SegmentationKind::rle;
    annotation.first = static_cast<uint32_t>(dataset_.rles_.size());
    annotation.parts = 1;
    dataset_.rles_.push_back({dataset_.rle_text_.size(), static_cast<uint32_t>(text.size()), height, width});
    dataset_.rle_text_.append(text.data(), text.size());
  } catch (const Error& error) {
    pending.problem.set("rle-counts", fmt::format("has a bad mask: {}", error.what()));
  }
}

}  // namespace tessera
