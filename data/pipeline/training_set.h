// A COCO data set as training samples: which pictures and objects take part, and one sample of one picture.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/annotations/coco_json.h"
#include "data/image/decode.h"
#include "data/pipeline/batch_order.h"
#include "data/pipeline/transforms.h"

namespace tessera {

// The picture of a data set. Throws Error(data) as decode_image_file(), and where the file's size is not what the
// annotations say (after EXIF orientation, which the text mentions where it is the reason).
DecodedImage load_dataset_image(const CocoDataset& dataset, int image, const std::filesystem::path& images,
                                const DecodeOptions& options = {});

// Names of the pictures that are not there, in the order of the set: a look before a long run, without opening any.
std::vector<std::string> missing_images(const CocoDataset& dataset, const std::filesystem::path& images);

struct TrainingSetOptions {
  Preprocessing preprocessing;
  Augmentation augmentation;
  uint64_t seed = 0;
  // Pictures without a trainable object: left out, as detectron2 does, or kept as examples of nothing.
  bool keeps_empty = false;
  int64_t cache_bytes = int64_t(1) << 30;  // of decoded pictures kept in memory; what is over is decoded each time
  DecodeOptions decode;
};

// One picture as it goes into a batch.
struct TrainingSample {
  Image image;  // after the geometry, 8-bit
  ColorChange color;
  ImageTargets targets;
  ImageGeometry geometry;
  int dropped_objects = 0;  // cropped away, or too small to own a pixel
  std::string remarks;      // on the file, when it was decoded for this sample: remarks_on()
};

class TrainingSet {
 public:
  // Refers to `dataset`, which must outlive it. Throws Error(data) where no picture is left.
  TrainingSet(const CocoDataset& dataset, std::filesystem::path images, TrainingSetOptions options);

  int size() const { return int(pictures_.size()); }
  const TrainingSetOptions& options() const { return options_; }
  // In the order of the set: width >= height, as the annotations say.
  std::vector<bool> is_wide() const;
  // Path of a picture, for messages.
  std::string name(int index) const;
  // Paths of the pictures that are not there: a look before a long run, without opening any.
  std::vector<std::string> missing_pictures() const;

  int empty_pictures() const { return empty_pictures_; }  // without trainable object
  int64_t trainable_objects() const { return trainable_; }
  int64_t left_out_objects() const { return left_out_; }  // crowds and objects without a usable mask or box

  // Depends on key and options only. Thread-safe. Throws Error(data) for an unreadable picture.
  TrainingSample sample(const SampleKey& key) const;

 private:
  std::shared_ptr<const Image> picture(int index, std::string& remarks) const;

  const CocoDataset& dataset_;
  std::filesystem::path images_;
  TrainingSetOptions options_;
  std::vector<int> pictures_;  // indices into dataset_.images()
  int empty_pictures_ = 0;
  int64_t trainable_ = 0, left_out_ = 0;
  mutable std::mutex cache_mutex_;
  mutable std::vector<std::shared_ptr<const Image>> cache_;  // by index
  mutable int64_t cached_bytes_ = 0;
};

}  // namespace tessera
