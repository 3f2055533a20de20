// A model on a data set: detections of every picture, COCO metrics of them, pictures to look at.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/model_file.h"
#include "apps/picture_notes.h"
#include "apps/picture_options.h"
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
  DecodeOptions decode;
};

EvaluationSet read_evaluation_set(const std::filesystem::path& annotations, const std::filesystem::path& images,
                                  const PictureOptions& options = {});

// Index into model.categories of each category of the set, by id. Throws Error(data) where the model does not know it.
std::vector<int> labels_of(const Model& model, const EvaluationSet& set);

// What to say of categories that have the id of one of the model's but another name: the model may have learned other
// things than the set shows. "" where all agree, or where the model's classes have only numbers.
std::string renamed_categories_note(const Model& model, const EvaluationSet& set);

struct ModelEvaluation {
  std::optional<CocoEvaluation> segm;  // when the model predicts masks
  CocoEvaluation bbox;
  int64_t pictures = 0;
  int64_t detections = 0;
  double seconds = 0;  // detection, without the metrics
};

// input.* of a config. short_side 0: as the config has it.
Preprocessing preprocessing_from(const Config& config, int short_side = 0);

// One picture, any size. Boxes and masks at original size, best first. Throws Error(out_of_memory) that names the
// picture where its size is too much.
std::vector<Detection> detect_image(Inference& inference, const Image& image, const Preprocessing& preprocessing,
                                    const std::string& name);

// Detections of all pictures of a set, in its categories; nothing when a signal asked to stop (apps/stop_signal.h).
// Throws Error(data) when a category of the set is unknown to the model or a picture cannot be read.
std::optional<CocoResults> detect_dataset(Context& context, const Model& model, const EvaluationSet& set,
                                          PictureNotes& notes, bool quiet);

// Nothing, and throws, as detect_dataset.
std::optional<ModelEvaluation> evaluate_model(Context& context, const Model& model, const EvaluationSet& set,
                                              PictureNotes& notes, bool quiet, CocoResults* results = nullptr);

// Masks, where the model predicts them, and boxes.
std::vector<CocoEvaluation> evaluations_of(const ModelEvaluation& evaluation);

// Adds detections of one picture, labels as the model's categories.
void add_results(CocoResults& results, int64_t image_id, const std::vector<Detection>& detections,
                 const std::vector<Category>& categories, int height, int width);

// "mask AP 0.612  AP50 0.871  AP75 0.702 | box AP ..." for progress, and a line of log.jsonl.
std::string evaluation_line(const ModelEvaluation& evaluation);
std::string evaluation_log_line(const ModelEvaluation& evaluation, int64_t iteration, double seconds);

// Annotated objects of a picture of the set (crowds left out) for drawing; labels[category index] is their label.
std::vector<OverlayObject> truth_objects(const EvaluationSet& set, int image, const std::vector<int>& labels);

// Ground truth beside prediction for `count` pictures spread over the set: FOLDER/sample_00.png ... Returns the files;
// fewer when a signal asked to stop.
std::vector<std::filesystem::path> write_samples(Context& context, const Model& model, const EvaluationSet& set,
                                                 int count, const std::filesystem::path& folder);

}  // namespace tessera
