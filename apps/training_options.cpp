#include "apps/training_options.h"

#include "engine/core/error.h"

namespace tessera {

Augmentation augmentation_from(const Config& config) {
  Augmentation augmentation;
  const std::vector<int64_t>& sides = config.get_ints("train.short_side");
  if (sides.empty() || (sides.size() == 2 && sides.front() > sides.back())) {
    throw Error(ExitCode::usage, "train.short_side: one value, [least, most], or three and more to choose from",
                "train.short_side=[640,800]");
  }
  if (sides.size() > 2) {
    augmentation.short_sides.assign(sides.begin(), sides.end());
  } else {
    augmentation.min_short_side = static_cast<int>(sides.front());
    augmentation.max_short_side = static_cast<int>(sides.back());
  }
  augmentation.horizontal_flip = static_cast<float>(config.get_number("train.flip"));
  augmentation.vertical_flip = static_cast<float>(config.get_number("train.flip_vertical"));
  augmentation.transpose = static_cast<float>(config.get_number("train.transpose"));
  augmentation.crop = static_cast<float>(config.get_number("train.crop"));
  augmentation.crop_least = static_cast<float>(config.get_number("train.crop_least"));
  const auto jitter = static_cast<float>(config.get_number("train.color_jitter"));
  augmentation.brightness = 128 * jitter;
  augmentation.contrast = jitter;
  augmentation.channel_gain = jitter / 2;
  return augmentation;
}

std::vector<Category> categories_for(Config& config, const CocoDataset& dataset, const std::string& file) {
  std::vector<Category> categories;
  for (const CocoCategory& category : dataset.categories()) categories.push_back({category.id, category.name});
  const auto count = static_cast<int64_t>(categories.size());
  if (count == 0) {
    throw Error(ExitCode::data, file + ": \"categories\" is empty: nothing to learn", "tessera data check " + file);
  }
  if (!config.is_set("model.classes")) config.set("model.classes", count);
  if (config.get_int("model.classes") != count) {
    throw Error(ExitCode::data,
                fmt::format("{}: {} categories, but model.classes = {}", file, count, config.get_int("model.classes")),
                fmt::format("model.classes={}", count));
  }
  return categories;
}

PictureOptions picture_options(const Config& config) {
  return {config.get_number("data.max_megapixels"), config.get_bool("data.allow_outside")};
}

const std::string& required_path(const Config& config, const char* key) {
  const std::string& path = config.get_string(key);
  if (path.empty()) throw Error(ExitCode::usage, fmt::format("{} is not set", key), fmt::format("{}=PATH", key));
  return path;
}

}  // namespace tessera
