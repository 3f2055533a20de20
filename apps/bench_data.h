// Reading and evaluating at the size of COCO, on sets the benchmark makes up: nothing to download.
#pragma once

#include <cstdint>
#include <filesystem>

namespace tessera {

// An annotation file with the counts of COCO train2017: 118,272 pictures, 867,636 objects of 80 classes, 47 million
// polygon coordinates with two decimals, about 510 MB.
struct AnnotationFileSize {
  int64_t images = 118'272;
  int64_t annotations = 867'636;
  int polygon_points = 27;  // on average
};
void write_annotation_file(const std::filesystem::path& file, const AnnotationFileSize& size = {});

struct EvaluationBench {
  int64_t images = 0, objects = 0, detections = 0;
  double seconds = 0;  // of evaluate_coco alone
  double ap = 0;
};
// Segmentation metrics of `images` pictures with `per_image` detections each: shifted copies of objects, and mistakes.
EvaluationBench bench_evaluation(int images, int per_image, int threads);

}  // namespace tessera
