// `tessera predict`.
#include <algorithm>
#include <chrono>
#include <set>

#include "apps/counted.h"
#include "apps/model_evaluation.h"
#include "apps/picture_list.h"
#include "apps/progress.h"
#include "apps/verbs.h"
#include "data/image/decode.h"
#include "data/image/draw.h"
#include "data/image/encode.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"

namespace tessera {

namespace {

struct Outputs {
  bool overlay = false, json = false, masks = false;
};

Outputs parse_outputs(const std::vector<std::string>& names) {
  Outputs outputs;
  for (const std::string& name : names) {
    if (name == "overlay")
      outputs.overlay = true;
    else if (name == "json")
      outputs.json = true;
    else if (name == "masks")
      outputs.masks = true;
    else
      throw Error(ExitCode::usage, fmt::format("--save {}: not one of overlay, json, masks", name),
                  "--save overlay,json");
  }
  return outputs;
}

void write_masks(const std::filesystem::path& folder, const std::string& name, const std::vector<Detection>& detections,
                 const Image& image) {
  for (size_t i = 0; i < detections.size(); ++i) {
    if (!detections[i].has_mask) continue;
    const BitMask& mask = detections[i].mask;
    Image picture(image.height, image.width);
    for (int y = 0; y < mask.height; ++y) {
      for (int x = 0; x < mask.width; ++x) {
        if (mask.at(y, x)) std::fill_n(picture.at(mask.y + y, mask.x + x), 3, uint8_t{255});
      }
    }
    write_png(folder / fmt::format("{}_{:03}.png", name, i), picture);
  }
}

Model open_model(Context& context, const CommonOptions& common, const PredictOptions& options) {
  if (!options.random_weights) return load_model(context, options.weights);
  return make_model(context, read_config(options.weights), {}, common.seed.value_or(1), false);
}

}  // namespace

int run_predict(const CommonOptions& common, const PredictOptions& options) {
  const Outputs outputs = parse_outputs(options.save);
  if (options.top_k < 1) throw Error(ExitCode::usage, "--topk must be at least 1", "--topk 100");
  const std::vector<std::filesystem::path> pictures = list_pictures(options.inputs);
  const std::vector<std::string> names = output_names(pictures);
  const std::unique_ptr<Context> context = common.context();
  const Model model = open_model(*context, common, options);
  Inference inference(*context, *model.system, {.graph = graph_wanted(*context, options.graph)});
  const Preprocessing preprocessing = preprocessing_from(model.config, options.size);
  const std::filesystem::path folder = options.out;
  std::filesystem::create_directories(folder);
  if (outputs.masks) std::filesystem::create_directories(folder / "masks");

  std::vector<std::string> class_names;
  for (const Category& category : model.categories) class_names.push_back(category.name);
  CocoResults results;
  std::string image_list;
  int64_t found = 0, unreadable = 0;
  ExitCode failed = ExitCode::ok;  // of the first picture that was left out
  PictureNotes notes(common.quiet);
  Progress progress("predicting", static_cast<int64_t>(pictures.size()), common.quiet, 0, 1, "pictures");
  for (size_t i = 0; i < pictures.size(); ++i) {
    const auto id = static_cast<int64_t>(i) + 1;
    Image image;
    std::vector<Detection> detections;
    try {
      DecodedImage decoded = decode_image_file(pictures[i], options.pictures.decode());
      notes.add(pictures[i].string(), remarks_on(decoded));
      image = std::move(decoded.image);
      detections = detect_image(inference, image, preprocessing, pictures[i].string());
    } catch (const Error& error) {
      if (pictures.size() == 1 || (error.code() != ExitCode::data && error.code() != ExitCode::out_of_memory)) throw;
      if (unreadable++ == 0) failed = error.code();
      print_beside_progress(std::string("skipped: ") + error.what());
      progress.update(id);
      continue;
    }
    std::erase_if(detections, [&](const Detection& detection) { return detection.score < options.score; });
    if (detections.size() > static_cast<size_t>(options.top_k)) detections.resize(static_cast<size_t>(options.top_k));
    found += static_cast<int64_t>(detections.size());
    add_results(results, id, detections, model.categories, image.height, image.width);
    image_list += fmt::format("{}{}", image_list.empty() ? "" : ", ",
                              JsonObject()
                                  .add("id", id)
                                  .add("file_name", pictures[i].string())
                                  .add("height", image.height)
                                  .add("width", image.width)
                                  .text());
    if (outputs.overlay) {
      std::vector<OverlayObject> objects;
      for (const Detection& detection : detections) objects.push_back(overlay_object(detection));
      OverlayOptions style;
      style.names = class_names;
      style.magnify = magnification_for(image, 640);
      const std::string extension = pictures[i].extension() == ".png" ? ".png" : ".jpg";
      write_image(folder / (names[i] + extension), draw_overlay(image, objects, style));
    }
    if (outputs.masks) write_masks(folder / "masks", names[i], detections, image);
    progress.update(id);
  }
  progress.finish();
  if (outputs.json) {
    write_results(folder / "results.json", results);
    write_file_atomic(folder / "images.json", "{\"images\": [" + image_list + "]}\n");
  }
  if (common.json) {
    fmt::print("{}\n", JsonObject()
                           .add("pictures", static_cast<int64_t>(pictures.size()) - unreadable)
                           .add("unreadable", unreadable)
                           .add("objects", found)
                           .add("out", options.out)
                           .text());
  } else if (!common.quiet) {
    fmt::print("{} in {}{}: {}\n", counted(found, "object"),
               counted(static_cast<int64_t>(pictures.size()) - unreadable, "picture"),
               unreadable > 0 ? fmt::format(" ({} left out)", unreadable) : "", options.out);
  }
  return unreadable == static_cast<int64_t>(pictures.size()) ? static_cast<int>(failed) : 0;
}

}  // namespace tessera
