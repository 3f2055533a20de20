#include "apps/model_evaluation.h"

#include <chrono>
#include <new>

#include "apps/progress.h"
#include "apps/stop_signal.h"
#include "data/image/contact_sheet.h"
#include "data/image/draw.h"
#include "data/image/encode.h"
#include "data/pipeline/training_set.h"
#include "engine/io/json_text.h"

namespace tessera {

namespace {

constexpr float kSampleScore = 0.3f;  // least score of an object drawn into a sample

// "null" where undefined.
std::string metric_json(const std::optional<double>& value) { return value ? json_number(*value) : "null"; }

std::string metrics_json(const CocoEvaluation& evaluation) {
  JsonObject object;
  for (size_t i = 0; i < kCocoMetricNames.size(); ++i)
    object.add_raw(kCocoMetricNames[i], metric_json(evaluation.metrics[i]));
  return object.text();
}

std::string metric_text(const CocoEvaluation& evaluation, const char* name) {
  const std::optional<double>& value = evaluation.metric(name);
  return fmt::format("{} {}", name, value ? fmt::format("{:.3f}", *value) : "n/a");
}

std::vector<std::string> category_names(const Model& model) {
  std::vector<std::string> names;
  for (const Category& category : model.categories) names.push_back(category.name);
  return names;
}

}  // namespace

Preprocessing preprocessing_from(const Config& config, int short_side) {
  Preprocessing preprocessing;
  preprocessing.order = config.get_string("input.order") == "bgr" ? ChannelOrder::bgr : ChannelOrder::rgb;
  const auto three = [&](const char* key) {
    const std::vector<double>& values = config.get_numbers(key);
    if (values.size() != 3) throw Error(ExitCode::usage, fmt::format("{}: {} values instead of 3", key, values.size()));
    return std::array<float, 3>{static_cast<float>(values[0]), static_cast<float>(values[1]),
                                static_cast<float>(values[2])};
  };
  preprocessing.mean = three("input.mean");
  preprocessing.deviation = three("input.std");
  preprocessing.size_divisor = static_cast<int>(config.get_int("model.size_divisor"));
  preprocessing.short_side = short_side > 0 ? short_side : static_cast<int>(config.get_int("input.short_side"));
  preprocessing.max_side = static_cast<int>(config.get_int("input.max_side"));
  return preprocessing;
}

EvaluationSet read_evaluation_set(const std::filesystem::path& annotations, const std::filesystem::path& images,
                                  const PictureOptions& options) {
  return {read_coco(annotations, options.read()), images, annotations.string(), options.decode()};
}

std::vector<int> labels_of(const Model& model, const EvaluationSet& set) {
  std::vector<int> labels;
  for (const CocoCategory& category : set.dataset.categories()) {
    int label = -1;
    for (size_t i = 0; i < model.categories.size(); ++i) {
      if (model.categories[i].id == category.id) label = static_cast<int>(i);
    }
    if (label < 0) {
      throw Error(ExitCode::data,
                  fmt::format("{}: category {} ('{}') is not one of the {} the model was trained on", set.name,
                              category.id, category.name, model.categories.size()),
                  "tessera data stats " + set.name + " lists the set's");
    }
    labels.push_back(label);
  }
  return labels;
}

std::string renamed_categories_note(const Model& model, const EvaluationSet& set) {
  const std::vector<int> labels = labels_of(model, set);
  int64_t renamed = 0;
  std::string first;
  for (size_t i = 0; i < labels.size(); ++i) {
    const CocoCategory& theirs = set.dataset.categories()[i];
    const Category& ours = model.categories[static_cast<size_t>(labels[i])];
    if (theirs.name == ours.name || theirs.name.empty() || ours.name == unnamed_class(labels[i])) continue;
    if (renamed++ == 0) first = fmt::format("{} is '{}' here, '{}' in the model", theirs.id, theirs.name, ours.name);
  }
  if (renamed == 0) return {};
  return fmt::format("{}: {} of {} categories have another name than the model learned: {}", set.name, renamed,
                     labels.size(), first);
}

std::vector<Detection> detect_image(Inference& inference, const Image& image, const Preprocessing& preprocessing,
                                    const std::string& name) {
  try {
    const PreparedImage prepared = prepare_image(image, preprocessing);
    const Shape shape{1, prepared.height, prepared.width, 3};
    return std::move(inference.detect(prepared.values, shape, {prepared.geometry})[0]);
  } catch (const std::bad_alloc& failure) {
    const auto [height, width] = network_size(preprocessing, image.height, image.width);
    throw Error(ExitCode::out_of_memory,
                fmt::format("{}: {} x {} pixels, for the network {} x {}: out of memory ({})", name, image.width,
                            image.height, width, height, failure.what()),
                "tessera predict with a smaller --size, or scale the picture down");
  }
}

void add_results(CocoResults& results, int64_t image_id, const std::vector<Detection>& detections,
                 const std::vector<Category>& categories, int height, int width) {
  for (const Detection& detection : detections) {
    const BoxXywh box{detection.box.x1, detection.box.y1, detection.box.width(), detection.box.height()};
    Rle mask;
    if (detection.has_mask) mask = rle_encode(detection.mask, height, width);
    results.add(image_id, categories.at(static_cast<size_t>(detection.label)).id, detection.score, box,
                detection.has_mask ? &mask : nullptr);
  }
}

std::optional<CocoResults> detect_dataset(Context& context, const Model& model, const EvaluationSet& set,
                                          PictureNotes& notes, bool quiet) {
  labels_of(model, set);
  const Preprocessing preprocessing = preprocessing_from(model.config);
  CocoResults results;
  const auto& images = set.dataset.images();
  Inference inference(context, *model.system);
  Progress progress("evaluating", static_cast<int64_t>(images.size()), quiet, 0, 1, "pictures");
  for (size_t i = 0; i < images.size(); ++i) {
    if (StopSignal::requested()) return std::nullopt;
    const DecodedImage decoded = load_dataset_image(set.dataset, static_cast<int>(i), set.images, set.decode);
    const Image& image = decoded.image;
    const std::string file = (set.images / images[i].file_name).string();
    notes.add(file, remarks_on(decoded));
    add_results(results, images[i].id, detect_image(inference, image, preprocessing, file), model.categories,
                image.height, image.width);
    progress.update(static_cast<int64_t>(i) + 1);
  }
  progress.finish();
  return results;
}

std::optional<ModelEvaluation> evaluate_model(Context& context, const Model& model, const EvaluationSet& set,
                                              PictureNotes& notes, bool quiet, CocoResults* results) {
  ModelEvaluation evaluation;
  const auto begin = std::chrono::steady_clock::now();
  std::optional<CocoResults> found = detect_dataset(context, model, set, notes, quiet);
  if (!found) return std::nullopt;
  CocoResults& detected = *found;
  evaluation.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  evaluation.pictures = static_cast<int64_t>(set.dataset.images().size());
  evaluation.detections = static_cast<int64_t>(detected.size());
  // The area of a detection decides whether it is small, medium or large: of the mask for masks (detectron2), so the
  // boxes, which pycocotools would prefer, are left out there.
  if (model.system->predicts_masks()) {
    CocoResults masks;
    for (const CocoResult& entry : detected.entries()) {
      const Rle mask = detected.mask(entry);
      masks.add(entry.image_id, entry.category_id, entry.score, std::nullopt, &mask);
    }
    evaluation.segm = evaluate_coco(set.dataset, masks, {.overlap = OverlapKind::segm});
  }
  evaluation.bbox = evaluate_coco(set.dataset, detected, {.overlap = OverlapKind::bbox});
  if (results != nullptr) *results = std::move(detected);
  return evaluation;
}

std::vector<CocoEvaluation> evaluations_of(const ModelEvaluation& evaluation) {
  std::vector<CocoEvaluation> list;
  if (evaluation.segm) list.push_back(*evaluation.segm);
  list.push_back(evaluation.bbox);
  return list;
}

std::string evaluation_line(const ModelEvaluation& evaluation) {
  std::string line;
  const auto part = [&](const char* kind, const CocoEvaluation& metrics) {
    if (!line.empty()) line += "  |  ";
    line += fmt::format("{} {}  {}  {}", kind, metric_text(metrics, "AP"), metric_text(metrics, "AP50"),
                        metric_text(metrics, "AP75"));
  };
  if (evaluation.segm) part("mask", *evaluation.segm);
  part("box", evaluation.bbox);
  return line;
}

std::string evaluation_log_line(const ModelEvaluation& evaluation, int64_t iteration, double seconds) {
  JsonObject object;
  object.add("type", "eval").add("iteration", iteration);
  if (evaluation.segm) object.add_raw("segm", metrics_json(*evaluation.segm));
  return object.add_raw("bbox", metrics_json(evaluation.bbox)).add("seconds", seconds).text();
}

std::vector<OverlayObject> truth_objects(const EvaluationSet& set, int image, const std::vector<int>& labels) {
  std::vector<OverlayObject> objects;
  for (const uint32_t index : set.dataset.annotations_of(image)) {
    const CocoAnnotation& annotation = set.dataset.annotations()[index];
    if (annotation.crowd || annotation.kind == SegmentationKind::none) continue;
    OverlayObject object;
    object.box = {static_cast<float>(annotation.box.x), static_cast<float>(annotation.box.y),
                  static_cast<float>(annotation.box.x + annotation.box.w),
                  static_cast<float>(annotation.box.y + annotation.box.h)};
    object.label = labels[static_cast<size_t>(annotation.category)];
    object.has_mask = true;
    object.mask = pack_mask(rle_decode(set.dataset.mask(annotation)));
    objects.push_back(std::move(object));
  }
  return objects;
}

std::vector<std::filesystem::path> write_samples(Context& context, const Model& model, const EvaluationSet& set,
                                                 int count, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  const int pictures = static_cast<int>(set.dataset.images().size());
  count = std::min(count, pictures);
  if (count == 0) return files;
  std::filesystem::create_directories(folder);
  const Preprocessing preprocessing = preprocessing_from(model.config);
  const std::vector<int> labels = labels_of(model, set);
  Inference inference(context, *model.system);
  for (int sample = 0; sample < count; ++sample) {
    const int index = static_cast<int>(static_cast<int64_t>(sample) * pictures / count);
    if (StopSignal::requested()) break;
    const Image image = load_dataset_image(set.dataset, index, set.images, set.decode).image;
    std::vector<OverlayObject> found;
    const std::string name = set.dataset.images()[static_cast<size_t>(index)].file_name;
    for (const Detection& detection : detect_image(inference, image, preprocessing, name)) {
      if (detection.score >= kSampleScore) found.push_back(overlay_object(detection));
    }
    OverlayOptions style;
    style.names = category_names(model);
    style.color_by_class = model.categories.size() > 1;
    style.magnify = magnification_for(image, 512);
    const std::vector<Tile> tiles = {{draw_overlay(image, truth_objects(set, index, labels), style), ""},
                                     {draw_overlay(image, found, style), ""}};
    const Image sheet =
        contact_sheet(tiles, {.columns = 2, .tile_width = 512, .column_titles = {"ground truth", "prediction"}});
    files.push_back(folder / fmt::format("sample_{:02}.png", sample));
    write_png(files.back(), sheet);
  }
  return files;
}

}  // namespace tessera
