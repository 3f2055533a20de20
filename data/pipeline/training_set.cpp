#include "data/pipeline/training_set.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "data/annotations/polygon.h"
#include "engine/core/error.h"

namespace tessera {

DecodedImage load_dataset_image(const CocoDataset& dataset, int image, const std::filesystem::path& images,
                                const DecodeOptions& options) {
  const CocoImage& entry = dataset.images()[image];
  const std::filesystem::path path = images / entry.file_name;
  DecodedImage decoded = decode_image_file(path, options);
  const Image& picture = decoded.image;
  if (picture.height == entry.height && picture.width == entry.width) return decoded;
  const bool matches_stored = decoded.info.orientation >= 5 && options.apply_orientation &&
                              picture.height == entry.width && picture.width == entry.height;
  throw Error(
      ExitCode::data,
      fmt::format(
          "{}: {} x {} pixels, but the annotations of image {} say {} x {}{}", path.string(), picture.width,
          picture.height, entry.id, entry.width, entry.height,
          matches_stored ? fmt::format(" (the file's EXIF orientation {} turns it)", decoded.info.orientation) : ""),
      "annotate this version of the picture, or correct width and height in the annotations");
}

std::vector<std::string> missing_images(const CocoDataset& dataset, const std::filesystem::path& images) {
  std::vector<std::string> missing;
  std::error_code ignored;
  for (const CocoImage& image : dataset.images())
    if (!std::filesystem::is_regular_file(images / image.file_name, ignored)) missing.push_back(image.file_name);
  return missing;
}

TrainingSet::TrainingSet(const CocoDataset& dataset, std::filesystem::path images, TrainingSetOptions options)
    : dataset_(dataset), images_(std::move(images)), options_(std::move(options)) {
  for (int image = 0; image < int(dataset.images().size()); ++image) {
    int64_t trainable = 0;
    for (const uint32_t index : dataset.annotations_of(image)) {
      const bool takes_part = dataset.annotations()[index].trainable;
      trainable += takes_part;
      left_out_ += !takes_part;
    }
    trainable_ += trainable;
    if (trainable == 0) ++empty_pictures_;
    if (trainable > 0 || options_.keeps_empty) pictures_.push_back(image);
  }
  if (pictures_.empty())
    throw Error(ExitCode::data,
                fmt::format("{} pictures, none of them with an object to train on", dataset.images().size()),
                "tessera data check FILE");
  cache_.resize(pictures_.size());
}

std::vector<bool> TrainingSet::is_wide() const {
  std::vector<bool> wide;
  for (const int picture : pictures_)
    wide.push_back(dataset_.images()[picture].width >= dataset_.images()[picture].height);
  return wide;
}

std::string TrainingSet::name(int index) const {
  return (images_ / dataset_.images()[pictures_[index]].file_name).string();
}

std::vector<std::string> TrainingSet::missing_pictures() const {
  std::vector<std::string> missing;
  std::error_code ignored;
  for (int index = 0; index < size(); ++index)
    if (!std::filesystem::is_regular_file(name(index), ignored)) missing.push_back(name(index));
  return missing;
}

std::shared_ptr<const Image> TrainingSet::picture(int index, std::string& remarks) const {
  {
    const std::lock_guard lock(cache_mutex_);
    if (cache_[index]) return cache_[index];
  }
  DecodedImage decoded = load_dataset_image(dataset_, pictures_[index], images_, options_.decode);
  remarks = remarks_on(decoded);
  auto image = std::make_shared<const Image>(std::move(decoded.image));
  const std::lock_guard lock(cache_mutex_);
  const int64_t bytes = int64_t(image->pixels.size());
  // First come, first kept: throwing others out would make a set larger than the budget miss every time.
  if (!cache_[index] && cached_bytes_ + bytes <= options_.cache_bytes) {
    cache_[index] = image;
    cached_bytes_ += bytes;
  }
  return image;
}

TrainingSample TrainingSet::sample(const SampleKey& key) const {
  TrainingSample sample;
  const auto original = picture(key.index, sample.remarks);
  const int dataset_index = pictures_[key.index];
  const CocoImage& entry = dataset_.images()[dataset_index];
  Rng rng(options_.seed, RandomPurpose::augmentation, key.epoch, key.sample);
  const SampleGeometry geometry =
      draw_geometry(rng, original->height, original->width, options_.preprocessing, options_.augmentation);
  sample.color = draw_color_change(rng, options_.augmentation);
  sample.image = transform_image(*original, geometry);
  sample.geometry = {original->height, original->width, sample.image.height, sample.image.width};
  sample.targets.image_id = entry.id;
  sample.targets.height = sample.image.height;
  sample.targets.width = sample.image.width;
  for (const uint32_t index : dataset_.annotations_of(dataset_index)) {
    const CocoAnnotation& annotation = dataset_.annotations()[index];
    if (!annotation.trainable) continue;
    ObjectTarget object;
    object.label = annotation.category;
    if (annotation.kind == SegmentationKind::polygons) {
      // Drawn anew at the network's size, as the reference implementations do: sharper than a resized mask.
      std::vector<std::vector<double>> polygons = dataset_.polygons(annotation);
      for (auto& polygon : polygons) polygon = transform_polygon(polygon, geometry);
      object.mask = rle_decode(rle_from_polygons(polygons, sample.image.height, sample.image.width));
    } else {
      object.mask = transform_mask(rle_decode(dataset_.mask(annotation)), geometry);
    }
    const BoxXywh& box = annotation.box;
    object.box =
        geometry.is_cropped()
            ? tight_box(object.mask)
            : transform_box({float(box.x), float(box.y), float(box.x + box.w), float(box.y + box.h)}, geometry);
    const auto& pixels = object.mask.pixels;
    if (object.box.empty() || std::none_of(pixels.begin(), pixels.end(), [](uint8_t v) { return v != 0; }))
      ++sample.dropped_objects;
    else
      sample.targets.objects.push_back(std::move(object));
  }
  return sample;
}

}  // namespace tessera
