// `tessera data check | stats | show | generate`.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/counted.h"
#include "apps/model_evaluation.h"
#include "apps/progress.h"
#include "apps/terminal_text.h"
#include "apps/verbs.h"
#include "data/annotations/coco_json.h"
#include "data/image/contact_sheet.h"
#include "data/image/decode.h"
#include "data/image/draw.h"
#include "data/image/encode.h"
#include "data/pipeline/training_set.h"
#include "data/synthetic/scenes.h"

namespace tessera {

namespace {

// Paths need not be UTF-8, JSON must: other bytes become U+FFFD.
std::string line_of(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// What is wrong with the pictures of a data set, by picture id; with `verify` every pixel is decoded.
std::vector<Finding> check_pictures(const CommonOptions& common, const DataOptions& options) {
  const CocoDataset dataset =
      read_coco(options.annotations, {.need_masks = false, .allow_outside = options.pictures.allow_outside});
  const std::filesystem::path folder = options.images;
  DecodeOptions decode = options.pictures.decode();
  decode.strict = true;
  FindingLog log;
  const auto& list = dataset.images();
  Progress progress("checking", static_cast<int64_t>(list.size()), common.quiet, 0, 1, "pictures");
  for (size_t i = 0; i < list.size(); ++i) {
    const std::filesystem::path file = folder / list[i].file_name;
    try {
      const ImageInfo info = options.verify ? decode_image_file(file, decode).info : probe_image_file(file, decode);
      if (info.height != list[i].height || info.width != list[i].width) {
        log.report_for_reason("picture-size", "image", list[i].id, "",
                              "annotate this version of the picture, or correct width and height", [&] {
                                return fmt::format("is {}x{}, but {} is {}x{} (width x height)", list[i].width,
                                                   list[i].height, file.string(), info.width, info.height);
                              });
      }
    } catch (const Error& error) {
      std::error_code ignored;
      const bool missing = !std::filesystem::exists(file, ignored);
      const std::string text = error.what(), name = file.string() + ": ";
      const std::string reason = text.starts_with(name) ? text.substr(name.size()) : text;
      log.report_for_reason(missing ? "picture-missing" : "picture-unreadable", "image", list[i].id, reason,
                            error.hint(), [&] { return "cannot be read: " + text; });
    }
    progress.update(static_cast<int64_t>(i) + 1);
  }
  progress.finish();
  return log.findings();
}

}  // namespace

int run_data_check(const CommonOptions& common, const DataOptions& options) {
  std::vector<Finding> findings = check_dataset(options.annotations, {.allow_outside = options.pictures.allow_outside});
  const auto is_error = [](const Finding& finding) { return finding.severity == Severity::error; };
  if (!options.images.empty() && std::none_of(findings.begin(), findings.end(), is_error)) {
    const std::vector<Finding> pictures = check_pictures(common, options);
    findings.insert(findings.end(), pictures.begin(), pictures.end());
  }
  const int64_t errors = std::count_if(findings.begin(), findings.end(), is_error);
  if (common.json) {
    fmt::print("{}\n", findings_to_json(findings));
  } else {
    for (const Finding& finding : findings) {
      fmt::print("{:<8} {:<28} {}\n", is_error(finding) ? "error" : "warning", finding.rule,
                 terminal_text(finding.message));
      if (!finding.hint.empty()) fmt::print("  try: {}\n", terminal_text(finding.hint));
    }
    fmt::print("{}: {}, {}\n", options.annotations, counted(errors, "error"),
               counted(static_cast<int64_t>(findings.size()) - errors, "warning"));
  }
  return errors > 0 ? static_cast<int>(ExitCode::data) : 0;
}

int run_data_stats(const CommonOptions& common, const DataOptions& options) {
  const CocoDataset dataset =
      read_coco(options.annotations, {.need_masks = false, .need_file_names = false, .allow_outside = true});
  struct Row {
    int64_t objects = 0, crowds = 0, small = 0, medium = 0, large = 0;
  };
  std::vector<Row> rows(dataset.categories().size());
  std::vector<int64_t> per_image;
  for (size_t i = 0; i < dataset.images().size(); ++i)
    per_image.push_back(static_cast<int64_t>(dataset.annotations_of(static_cast<int>(i)).size()));
  std::sort(per_image.begin(), per_image.end());
  for (const CocoAnnotation& annotation : dataset.annotations()) {
    if (annotation.category < 0) continue;
    Row& row = rows[static_cast<size_t>(annotation.category)];
    ++row.objects;
    row.crowds += annotation.crowd;
    ++(annotation.area < 32 * 32 ? row.small : annotation.area < 96 * 96 ? row.medium : row.large);
  }
  const int64_t most = per_image.empty() ? 0 : per_image.back();
  const int64_t median = per_image.empty() ? 0 : per_image[per_image.size() / 2];
  if (common.json) {
    nlohmann::ordered_json json = {{"images", dataset.images().size()},
                                   {"annotations", dataset.annotations().size()},
                                   {"objects_per_image", {{"median", median}, {"most", most}}}};
    json["categories"] = nlohmann::ordered_json::array();
    for (size_t i = 0; i < rows.size(); ++i) {
      json["categories"].push_back({{"id", dataset.categories()[i].id},
                                    {"name", dataset.categories()[i].name},
                                    {"objects", rows[i].objects},
                                    {"crowds", rows[i].crowds},
                                    {"small", rows[i].small},
                                    {"medium", rows[i].medium},
                                    {"large", rows[i].large}});
    }
    fmt::print("{}\n", line_of(json));
    return 0;
  }
  fmt::print("{}, {}, {} in the median picture, {} at most\n",
             counted(static_cast<int64_t>(dataset.images().size()), "picture"),
             counted(static_cast<int64_t>(dataset.annotations().size()), "object"), median, most);
  fmt::print("{:>8}  {:<24} {:>9} {:>8} {:>8} {:>8} {:>8}\n", "id", "category", "objects", "crowds", "small", "medium",
             "large");
  for (size_t i = 0; i < rows.size(); ++i) {
    fmt::print("{:>8}  {:<24} {:>9} {:>8} {:>8} {:>8} {:>8}\n", dataset.categories()[i].id,
               terminal_text(dataset.categories()[i].name), rows[i].objects, rows[i].crowds, rows[i].small,
               rows[i].medium, rows[i].large);
  }
  return 0;
}

int run_data_show(const CommonOptions& common, const DataOptions& options) {
  std::string extension = std::filesystem::path(options.out).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (extension != ".png" && extension != ".jpg" && extension != ".jpeg")
    throw Error(ExitCode::usage, fmt::format("-o {}: a picture's name ends in .png or .jpg", options.out),
                fmt::format("-o {}.png", options.out));
  const EvaluationSet set = read_evaluation_set(options.annotations, options.images, options.pictures);
  PictureNotes notes(common.quiet);
  const int count = std::min(options.count, static_cast<int>(set.dataset.images().size()));
  if (count < 1)
    throw Error(ExitCode::data, options.annotations + ": no pictures to show",
                "tessera data check " + options.annotations);
  std::vector<Tile> tiles;
  for (int i = 0; i < count; ++i) {
    const int index =
        static_cast<int>(static_cast<int64_t>(i) * static_cast<int64_t>(set.dataset.images().size()) / count);
    const DecodedImage decoded = load_dataset_image(set.dataset, index, set.images, set.decode);
    notes.add((set.images / set.dataset.images()[static_cast<size_t>(index)].file_name).string(), remarks_on(decoded));
    const Image& image = decoded.image;
    OverlayOptions style;
    for (const CocoCategory& category : set.dataset.categories()) style.names.push_back(category.name);
    style.magnify = magnification_for(image, 480);
    std::vector<int> labels(set.dataset.categories().size());
    for (size_t label = 0; label < labels.size(); ++label) labels[label] = static_cast<int>(label);
    tiles.push_back({draw_overlay(image, truth_objects(set, index, labels), style),
                     set.dataset.images()[static_cast<size_t>(index)].file_name});
  }
  write_image(options.out,
              contact_sheet(tiles, {.title = std::filesystem::path(options.annotations).filename().string()}));
  if (common.json) {
    fmt::print("{}\n", line_of({{"file", options.out}}));
  } else if (!common.quiet) {
    fmt::print("{}\n", options.out);
  }
  return 0;
}

int run_data_generate(const CommonOptions& common, const DataOptions& options) {
  if (options.count < 1 || options.size < 16)
    throw Error(ExitCode::usage, "--count must be at least 1 and --size at least 16", "--count 200 --size 128");
  const int threads =
      common.threads > 0 ? common.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  Progress progress("generating", options.count, common.quiet, 0, 1, "scenes");
  const SceneSet set = write_scene_set(options.out, options.prefix, options.count, common.seed.value_or(1), 0,
                                       {.size = options.size}, threads, [&](int64_t done) { progress.update(done); });
  progress.finish();
  if (common.json) {
    fmt::print("{}\n", line_of({{"annotations", set.annotations.string()},
                                {"images", set.images.string()},
                                {"image_count", set.image_count},
                                {"object_count", set.object_count}}));
  } else {
    fmt::print("{}, {}: {}\n", counted(set.image_count, "scene"), counted(set.object_count, "object"),
               set.annotations.string());
  }
  return 0;
}

}  // namespace tessera
