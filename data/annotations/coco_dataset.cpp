#include <algorithm>

#include "data/annotations/coco_json.h"
#include "data/annotations/polygon.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

template <typename Entry>
int index_of_id(const std::vector<Entry>& entries, int64_t id) {
  const auto found = std::lower_bound(entries.begin(), entries.end(), id,
                                      [](const Entry& entry, int64_t value) { return entry.id < value; });
  return found == entries.end() || found->id != id ? -1 : static_cast<int>(found - entries.begin());
}

}  // namespace

std::span<const uint32_t> CocoDataset::annotations_of(int image) const {
  const size_t i = static_cast<size_t>(image);
  TESSERA_CHECK(image >= 0 && i < images_.size(), "image index {} of {}", image, images_.size());
  return {by_image_.data() + image_first_[i], image_first_[i + 1] - image_first_[i]};
}

int CocoDataset::image_index(int64_t id) const { return index_of_id(images_, id); }
int CocoDataset::category_index(int64_t id) const { return index_of_id(categories_, id); }

std::vector<double> CocoDataset::polygon(const Polygon& polygon) const {
  std::vector<double> points(polygon.numbers);
  for (uint32_t i = 0; i < polygon.numbers; ++i) {
    points[i] = polygon.hundredths ? hundredths_[polygon.first + i] / 100.0 : doubles_[polygon.first + i];
  }
  return points;
}

std::vector<std::vector<double>> CocoDataset::polygons(const CocoAnnotation& annotation) const {
  TESSERA_CHECK(annotation.kind == SegmentationKind::polygons, "annotation {} has no polygons", annotation.id);
  std::vector<std::vector<double>> all;
  all.reserve(annotation.parts);
  for (uint32_t i = 0; i < annotation.parts; ++i) all.push_back(polygon(polygons_[annotation.first + i]));
  return all;
}

Rle CocoDataset::mask(const CocoAnnotation& annotation) const {
  const CocoImage& image = images_[static_cast<size_t>(annotation.image)];
  if (annotation.kind == SegmentationKind::rle) {
    const RleText& rle = rles_[annotation.first];
    return rle_from_string({rle_text_.data() + rle.first, rle.length}, rle.height, rle.width);
  }
  if (annotation.kind == SegmentationKind::none) return rle_from_polygon({}, image.height, image.width);
  return rle_from_polygons(polygons(annotation), image.height, image.width);
}

size_t CocoDataset::bytes() const {
  size_t names = 0;
  for (const CocoImage& image : images_) names += sizeof(CocoImage) + image.file_name.capacity();
  return names + annotations_.size() * sizeof(CocoAnnotation) + polygons_.size() * sizeof(Polygon) +
         hundredths_.size() * sizeof(int32_t) + doubles_.size() * sizeof(double) + rles_.size() * sizeof(RleText) +
         rle_text_.size() + (image_first_.size() + by_image_.size()) * sizeof(uint32_t);
}

}  // namespace tessera
