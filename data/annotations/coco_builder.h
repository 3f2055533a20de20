// Internal to data/annotations: takes the entries of a COCO file one by one, checks them, and builds a CocoDataset.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/annotations/coco_json.h"

namespace tessera {

// The first thing that is wrong with an entry; reported when its id is known.
struct Problem {
  const char* rule = nullptr;
  std::string detail;

  void set(const char* new_rule, std::string new_detail) {
    if (rule == nullptr) rule = new_rule, detail = std::move(new_detail);
  }
};

struct PendingImage {
  std::optional<int64_t> id, height, width;
  std::optional<std::string> file_name;
  Problem problem;
};

struct PendingCategory {
  std::optional<int64_t> id;
  std::optional<std::string> name;
  Problem problem;
};

struct PendingAnnotation {
  std::optional<int64_t> id, image_id, category_id;
  std::optional<double> area;
  std::vector<double> box;
  bool crowd = false;
  bool has_segmentation = false;  // the key is there, perhaps null
  std::vector<double> numbers;    // of all polygons
  std::vector<size_t> polygon_ends;
  bool has_rle = false;
  std::vector<int64_t> rle_size;
  std::optional<std::string> rle_text;
  std::optional<std::vector<int64_t>> rle_counts;
  Problem problem;
};

class CocoBuilder {
 public:
  explicit CocoBuilder(const CocoReadOptions& options) : options_(options) {}

  FindingLog& log() { return log_; }
  void add(const PendingImage& image);
  void add(const PendingCategory& category);
  void add(PendingAnnotation& annotation);
  // Resolves ids and checks what needs the whole file; `complete` = all three lists were there. With errors in the log
  // the data set is not usable.
  CocoDataset finish(bool complete);

 private:
  struct Link {  // what finish() resolves
    int64_t image_id, category_id;
    bool area_missing, box_missing;
  };
  void add_polygons(PendingAnnotation& pending, CocoAnnotation& annotation);
  void add_rle(PendingAnnotation& pending, CocoAnnotation& annotation);
  void sort_images_and_categories();
  void resolve_links();
  void check_duplicate_annotations();
  void check_geometry(CocoAnnotation& annotation, const Link& link);
  void index_by_image();

  CocoReadOptions options_;
  FindingLog log_;
  CocoDataset dataset_;
  GrowingArray<Link> links_;
  std::vector<int64_t> rejected_images_;  // in the file but faulty: their annotations are no second finding
  int64_t images_seen_ = 0, categories_seen_ = 0, annotations_seen_ = 0;
};

}  // namespace tessera
