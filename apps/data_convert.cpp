// `tessera data convert`: annotations of other data sets as COCO files.
#include <filesystem>

#include "apps/verbs.h"
#include "data/annotations/cityscapes.h"
#include "engine/core/error.h"
#include "engine/io/json_text.h"

namespace tessera {

namespace {

std::vector<std::string> splits_of(const ConvertDataOptions& options) {
  if (!options.splits.empty()) return options.splits;
  std::vector<std::string> splits;
  for (const char* split : {"train", "val"}) {
    if (std::filesystem::is_directory(std::filesystem::path(options.root) / "gtFine" / split))
      splits.emplace_back(split);
  }
  if (splits.empty()) {
    throw Error(ExitCode::data, options.root + ": holds neither gtFine/train nor gtFine/val",
                "the folder into which the archives of Cityscapes were unpacked");
  }
  return splits;
}

}  // namespace

int run_data_convert(const CommonOptions& common, const ConvertDataOptions& options) {
  size_t skipped = 0;
  std::string converted;
  for (const std::string& split : splits_of(options)) {
    const CityscapesConversion result = convert_cityscapes(options.root, split, options.out);
    skipped += result.skipped.size();
    for (const std::string& reason : result.skipped) fmt::print(stderr, "left out: {}\n", reason);
    if (common.json) {
      converted += (converted.empty() ? "" : ", ") + JsonObject()
                                                         .add("split", split)
                                                         .add("annotations", result.annotations.string())
                                                         .add("images", result.images)
                                                         .add("objects", result.objects)
                                                         .add("groups", result.groups)
                                                         .add("images_without_object", result.empty_images)
                                                         .add("instances_of_other_classes", result.other_instances)
                                                         .add("left_out", static_cast<int64_t>(result.skipped.size()))
                                                         .text();
    } else if (!common.quiet) {
      fmt::print(
          "{}: {} pictures ({} without an object to learn), {} objects, {} groups; {} instances of classes that are "
          "not evaluated; {} pictures left out: {}\n",
          split, result.images, result.empty_images, result.objects, result.groups, result.other_instances,
          result.skipped.size(), result.annotations.string());
    }
  }
  if (common.json) fmt::print("[{}]\n", converted);
  return skipped == 0 ? 0 : static_cast<int>(ExitCode::data);
}

}  // namespace tessera
