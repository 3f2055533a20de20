// `tessera data check | stats | show | generate`.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/model_evaluation.h"
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

// Pictures of a data set that cannot be read, by picture id; with `verify` every pixel is decoded.
std::vector<Finding> check_pictures(const std::string& annotations, const std::string& images, bool verify) {
  const CocoDataset dataset = read_coco(annotations, {.need_masks = false});
  FindingLog log;
  const auto& list = dataset.images();
  for (size_t i = 0; i < list.size(); ++i) {
    try {
      if (verify) {
        load_dataset_image(dataset, static_cast<int>(i), images, {.strict = true});
      } else {
        const ImageInfo info = probe_image_file(std::filesystem::path(images) / list[i].file_name);
        if (info.height != list[i].height || info.width != list[i].width) {
          log.report(Severity::error, "picture-size", "image", list[i].id, [&] {
            return fmt::format("is {}x{}, but {} is {}x{} (width x height)", list[i].width, list[i].height,
                               list[i].file_name, info.width, info.height);
          });
        }
      }
    } catch (const Error& error) {
      log.report(Severity::error, "picture-unreadable", "image", list[i].id,
                 [&] { return std::string("cannot be read: ") + error.what(); });
    }
  }
  return log.findings();
}

}  // namespace

int run_data_check(const CommonOptions& common, const DataOptions& options) {
  std::vector<Finding> findings = check_dataset(options.annotations);
  const auto is_error = [](const Finding& finding) { return finding.severity == Severity::error; };
  if (!options.images.empty() && std::none_of(findings.begin(), findings.end(), is_error)) {
    const std::vector<Finding> pictures = check_pictures(options.annotations, options.images, options.verify);
    findings.insert(findings.end(), pictures.begin(), pictures.end());
  }
  const int64_t errors = std::count_if(findings.begin(), findings.end(), is_error);
  if (common.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Finding& finding : findings) {
      list.push_back({{"rule", finding.rule},
                      {"severity", is_error(finding) ? "error" : "warning"},
                      {"count", finding.count},
                      {"ids", finding.ids},
                      {"message", finding.message}});
    }
    fmt::print("{}\n", line_of(list));
  } else {
    for (const Finding& finding : findings) {
      fmt::print("{:<8} {:<28} {}\n", is_error(finding) ? "error" : "warning", finding.rule,
                 terminal_text(finding.message));
    }
    fmt::print("{}: {} errors, {} warnings\n", options.annotations, errors,
               static_cast<int64_t>(findings.size()) - errors);
  }
  return errors > 0 ? static_cast<int>(ExitCode::data) : 0;
}

int run_data_stats(const CommonOptions& common, const DataOptions& options) {
  const CocoDataset dataset = read_coco(options.annotations, {.need_masks = false, .need_file_names = false});
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
  fmt::print("{} pictures, {} objects, {} in the median picture, {} at most\n", dataset.images().size(),
             dataset.annotations().size(), median, most);
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
  const EvaluationSet set = read_evaluation_set(options.annotations, options.images);
  const int count = std::min(options.count, static_cast<int>(set.dataset.images().size()));
  if (count < 1)
    throw Error(ExitCode::data, options.annotations + ": no pictures to show",
                "tessera data check " + options.annotations);
  std::vector<Tile> tiles;
  for (int i = 0; i < count; ++i) {
    const int index =
        static_cast<int>(static_cast<int64_t>(i) * static_cast<int64_t>(set.dataset.images().size()) / count);
    const Image image = load_dataset_image(set.dataset, index, set.images);
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
  const SceneSet set = write_scene_set(options.out, options.prefix, options.count, common.seed.value_or(1), 0,
                                       {.size = options.size}, threads);
  if (common.json) {
    fmt::print("{}\n", line_of({{"annotations", set.annotations.string()},
                                {"images", set.images.string()},
                                {"image_count", set.image_count},
                                {"object_count", set.object_count}}));
  } else {
    fmt::print("{} scenes, {} objects: {}\n", set.image_count, set.object_count, set.annotations.string());
  }
  return 0;
}

}  // namespace tessera
