// A model on a data set: detections of every picture, COCO metrics of them, pictures to look at.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/model_file.h"
#include "data/evaluation/coco_eval.h"
#include "data/image/draw.h"
#include "data/image/image.h"
#include "data/pipeline/transforms.h"
#include "models/inference.h"

namespace tessera {

struct EvaluationSet {
  CocoDataset dataset;
  std::filesystem::path images;
  std::string name;  // of the annotation file
};

EvaluationSet read_evaluation_set(const std::filesystem::path& annotations, const std::filesystem::path& images);

struct ModelEvaluation {
  std::optional<CocoEvaluation> segm;  // when the model predicts masks
  CocoEvaluation bbox;
  int64_t pictures = 0;
  int64_t detections = 0;
  double seconds = 0;  // detection, without the metrics
};

// input.* of a config. short_side 0: as the config has it.
Preprocessing preprocessing_from(const Config& config, int short_side = 0);

// One picture, any size. Boxes and masks at original size, best first.
std::vector<Detection> detect_image(Inference& inference, const Image& image, const Preprocessing& preprocessing);

// Detections of all pictures of a set, in its categories. Throws Error(data) when a category of the set is unknown to
// the model or a picture cannot be read.
CocoResults detect_dataset(Context& context, const Model& model, const EvaluationSet& set, bool quiet);

ModelEvaluation evaluate_model(Context& context, const Model& model, const EvaluationSet& set, bool quiet,
                               CocoResults* results = nullptr);

// Adds detections of one picture, labels as the model's categories.
void add_results(CocoResults& results, int64_t image_id, const std::vector<Detection>& detections,
                 const std::vector<Category>& categories, int height, int width);

// "mask AP 0.612  AP50 0.871  AP75 0.702 | box AP ..." for progress, and a line of log.jsonl.
std::string evaluation_line(const ModelEvaluation& evaluation);
std::string evaluation_log_line(const ModelEvaluation& evaluation, int64_t iteration, double seconds);

// Annotated objects of a picture of the set (crowds left out) for drawing; labels[category index] is their label.
std::vector<OverlayObject> truth_objects(const EvaluationSet& set, int image, const std::vector<int>& labels);

// Ground truth beside prediction for `count` pictures spread over the set: FOLDER/sample_00.png ... Returns the files.
std::vector<std::filesystem::path> write_samples(Context& context, const Model& model, const EvaluationSet& set,
                                                 int count, const std::filesystem::path& folder);

}  // namespace tessera
