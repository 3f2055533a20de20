#include "data/annotations/cityscapes.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "data/image/decode.h"
#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"

namespace tessera {

namespace {

constexpr int kFirstInstance = 1000;  // smaller values are class ids
constexpr int kFirstClassWithInstances = 24;
constexpr const char* kPictureEnding = "_leftImg8bit.png";
constexpr const char* kInstanceEnding = "_gtFine_instanceIds.png";

bool is_evaluated(int class_id) {
  return std::ranges::any_of(kCityscapesClasses, [=](const CityscapesClass& c) { return c.id == class_id; });
}

// Runs of one value down the columns, as COCO counts them.
class RunCollector {
 public:
  void add(uint32_t begin, uint32_t length) {
    if (begin != end_ || counts_.empty()) {
      counts_.push_back(begin - end_);
      counts_.push_back(0);
    }
    counts_.back() += length;
    end_ = begin + length;
  }
  Rle finish(int height, int width) {
    const uint32_t rest = static_cast<uint32_t>(height) * static_cast<uint32_t>(width) - end_;
    if (rest > 0) counts_.push_back(rest);
    return {height, width, std::move(counts_)};
  }

 private:
  std::vector<uint32_t> counts_;
  uint32_t end_ = 0;
};

// Pictures below a folder by their path relative to it, sorted.
std::vector<std::filesystem::path> pictures_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> pictures;
  std::error_code failure;
  for (std::filesystem::recursive_directory_iterator it(folder, failure), end; !failure && it != end;
       it.increment(failure)) {
    if (it->path().filename().string().ends_with(kPictureEnding))
      pictures.push_back(std::filesystem::relative(it->path(), folder));
  }
  std::ranges::sort(pictures, {}, [](const auto& path) { return path.generic_string(); });
  return pictures;
}

std::string annotation_text(const CityscapesObject& object, int64_t id, int64_t image_id) {
  const BoxXywh box = rle_box(object.mask);
  return fmt::format(R"({{"id":{},"image_id":{},"category_id":{},"iscrowd":{},"area":{},"bbox":[{},{},{},{}],)"
                     R"("segmentation":{{"size":[{},{}],"counts":{}}}}})",
                     id, image_id, object.label.class_id, object.label.is_group ? 1 : 0, rle_area(object.mask), box.x,
                     box.y, box.w, box.h, object.mask.height, object.mask.width,
                     json_string(rle_to_string(object.mask)));
}

std::string categories_text() {
  std::string text;
  for (const CityscapesClass& entry : kCityscapesClasses)
    text += fmt::format(R"({}{{"id":{},"name":"{}"}})", text.empty() ? "" : ",", entry.id, entry.name);
  return text;
}

}  // namespace

std::optional<CityscapesLabel> cityscapes_label(uint16_t value) {
  const bool is_group = value < kFirstInstance;
  const int class_id = is_group ? value : value / kFirstInstance;
  if (!is_evaluated(class_id)) return std::nullopt;
  return CityscapesLabel{class_id, is_group};
}

std::vector<CityscapesObject> cityscapes_objects(const Gray16& instances) {
  std::map<uint16_t, RunCollector> runs;
  const auto height = static_cast<uint32_t>(instances.height);
  for (int x = 0; x < instances.width; ++x) {
    for (int y = 0; y < instances.height;) {
      const uint16_t value = instances.at(y, x);
      int end = y + 1;
      while (end < instances.height && instances.at(end, x) == value) ++end;
      if (cityscapes_label(value)) {
        runs[value].add(static_cast<uint32_t>(x) * height + static_cast<uint32_t>(y), static_cast<uint32_t>(end - y));
      }
      y = end;
    }
  }
  std::vector<CityscapesObject> objects;
  for (auto& [value, collector] : runs)
    objects.push_back({value, *cityscapes_label(value), collector.finish(instances.height, instances.width)});
  return objects;
}

std::filesystem::path cityscapes_instance_file(const std::filesystem::path& picture) {
  const std::string name = picture.filename().string();
  if (!name.ends_with(kPictureEnding)) {
    throw Error(ExitCode::data,
                fmt::format("{}: not a picture of Cityscapes, whose names end in {}", picture.string(), kPictureEnding),
                "use annotations made by tessera data convert cityscapes");
  }
  return picture.parent_path() /
         (name.substr(0, name.size() - std::string_view(kPictureEnding).size()) + kInstanceEnding);
}

CityscapesConversion convert_cityscapes(const std::filesystem::path& root, const std::string& split,
                                        const std::filesystem::path& out) {
  const std::filesystem::path pictures = root / "leftImg8bit" / split, truth = root / "gtFine" / split;
  for (const auto& folder : {pictures, truth}) {
    if (std::filesystem::is_directory(folder)) continue;
    throw Error(ExitCode::data, folder.string() + ": not a folder",
                "unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into " + root.string());
  }
  CityscapesConversion conversion;
  conversion.annotations = out / fmt::format("instancesonly_filtered_gtFine_{}.json", split);
  fmt::memory_buffer images, annotations;
  int64_t annotation_id = 0;
  for (const std::filesystem::path& picture : pictures_below(pictures)) {
    Gray16 instances;
    try {
      instances = load_gray16(truth / cityscapes_instance_file(picture));
      const ImageInfo info = probe_image_file(pictures / picture);
      if (info.height != instances.height || info.width != instances.width) {
        throw Error(ExitCode::data, fmt::format("{}: {} x {} pixels, its instance map {} x {}", picture.string(),
                                                info.width, info.height, instances.width, instances.height));
      }
    } catch (const Error& error) {
      conversion.skipped.emplace_back(error.what());
      continue;
    }
    const int64_t image_id = ++conversion.images;
    fmt::format_to(std::back_inserter(images), R"({}{{"id":{},"file_name":{},"height":{},"width":{}}})",
                   image_id > 1 ? ",\n" : "\n", image_id, json_string(picture.generic_string()), instances.height,
                   instances.width);
    int64_t learnable = 0;
    for (const CityscapesObject& object : cityscapes_objects(instances)) {
      learnable += !object.label.is_group;
      conversion.groups += object.label.is_group;
      fmt::format_to(std::back_inserter(annotations), "{}{}", annotation_id > 0 ? ",\n" : "\n",
                     annotation_text(object, annotation_id + 1, image_id));
      ++annotation_id;
    }
    conversion.objects += learnable;
    conversion.empty_images += learnable == 0;
    std::vector<uint16_t> values = instances.values;
    std::ranges::sort(values);
    values.erase(std::unique(values.begin(), values.end()), values.end());
    conversion.other_instances += std::ranges::count_if(values, [](uint16_t value) {
      return value >= kFirstInstance * kFirstClassWithInstances && !cityscapes_label(value);
    });
  }
  if (conversion.images == 0) {
    throw Error(ExitCode::data,
                conversion.skipped.empty()
                    ? fmt::format("{}: no picture whose name ends in {}", pictures.string(), kPictureEnding)
                    : conversion.skipped.front(),
                "compare the folders with the layout in docs/formats.md");
  }
  std::filesystem::create_directories(out);
  write_file_atomic(conversion.annotations,
                    fmt::format("{{\"categories\":[{}],\"images\":[{}],\"annotations\":[{}]}}\n", categories_text(),
                                fmt::to_string(images), fmt::to_string(annotations)));
  return conversion;
}

}  // namespace tessera
