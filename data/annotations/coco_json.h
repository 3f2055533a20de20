// Object annotations in COCO's JSON format, read in one pass into flat arrays. A file with the size of COCO train2017
// (118,287 pictures, 860,001 objects, 500 MB of text) takes about 300 MB. Coordinates are kept exactly: hundredths of a
// pixel as int32 where that is lossless (all of COCO), doubles elsewhere; float32 would change masks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/annotations/finding.h"
#include "data/annotations/growing_array.h"
#include "data/annotations/rle.h"

namespace tessera {

struct CocoImage {
  int64_t id = 0;
  int height = 0, width = 0;
  std::string file_name;  // empty where the file gives none and none is needed
};

struct CocoCategory {
  int64_t id = 0;
  std::string name;
};

enum class SegmentationKind : uint8_t { none, polygons, rle };

struct CocoAnnotation {
  int64_t id = 0;
  double area = 0;                  // as the file says, pixels; what COCO's area ranges use
  BoxXywh box;                      // as the file says, not clipped
  int32_t image = 0, category = 0;  // indices into images() and categories()
  uint32_t first = 0, parts = 0;    // polygons, or one RLE
  SegmentationKind kind = SegmentationKind::none;
  bool crowd = false;
  // False for crowds, for objects without a mask (as the file says or because every polygon was unusable), with a
  // polygon area of zero, or with a box that is empty after clipping to the picture. Evaluation counts them, training
  // does not.
  bool trainable = true;
};

class CocoDataset {
 public:
  // Images and categories in ascending order of id; the index of a category is the label of a network.
  const std::vector<CocoImage>& images() const { return images_; }
  const std::vector<CocoCategory>& categories() const { return categories_; }
  // In the order of the file.
  std::span<const CocoAnnotation> annotations() const { return {annotations_.data(), annotations_.size()}; }
  // Indices into annotations(), in the order of the file.
  std::span<const uint32_t> annotations_of(int image) const;
  // Index of an id, or -1.
  int image_index(int64_t id) const;
  int category_index(int64_t id) const;

  // Polygons of an annotation of that kind, x0, y0, x1, y1, ... in pixels of the original picture.
  std::vector<std::vector<double>> polygons(const CocoAnnotation& annotation) const;
  // The mask of an annotation at the size of its picture; an empty one for kind none.
  Rle mask(const CocoAnnotation& annotation) const;

  // Warnings met while reading.
  const std::vector<Finding>& findings() const { return findings_; }
  // Bytes of the arrays, for the memory table.
  size_t bytes() const;

 private:
  friend class CocoBuilder;

  struct Polygon {
    uint64_t first;
    uint32_t numbers;
    bool hundredths;  // in hundredths_, else in doubles_
  };
  struct RleText {
    uint64_t first;
    uint32_t length;
    int32_t height, width;
  };
  std::vector<double> polygon(const Polygon& polygon) const;

  std::vector<CocoImage> images_;
  std::vector<CocoCategory> categories_;
  GrowingArray<CocoAnnotation> annotations_;
  GrowingArray<Polygon> polygons_;
  GrowingArray<int32_t> hundredths_;
  GrowingArray<double> doubles_;
  GrowingArray<RleText> rles_;
  GrowingArray<char> rle_text_;
  std::vector<uint32_t> image_first_, by_image_;
  std::vector<Finding> findings_;
};

struct CocoReadOptions {
  bool need_masks = true;       // an annotation without "segmentation" is an error, else a warning
  bool need_file_names = true;  // an image without "file_name" is an error
  bool allow_outside = false;   // file names that are absolute or contain ".."
};

// Throws Error(data), one line with file, place and reason, on a file that is not what the options ask for. What can be
// worked around becomes a warning in findings().
CocoDataset read_coco(const std::filesystem::path& file, const CocoReadOptions& options = {});

// All findings of a file, errors included; never throws for what the file contains.
std::vector<Finding> check_dataset(const std::filesystem::path& file, const CocoReadOptions& options = {});

}  // namespace tessera
