// Cityscapes instance annotations (gtFine): 16-bit instance maps in the folders of the data set -> one COCO file a
// split, as mmdetection's converter makes it (spec yolactr.md, section 10).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/annotations/rle.h"
#include "data/image/gray16.h"

namespace tessera {

struct CityscapesClass {
  int id;  // label id of the data set, and category id of the COCO file
  const char* name;
};

// The eight classes with instances that the benchmark evaluates; the label of a network is the index.
inline constexpr CityscapesClass kCityscapesClasses[] = {{24, "person"},     {25, "rider"},  {26, "car"},
                                                         {27, "truck"},      {28, "bus"},    {31, "train"},
                                                         {32, "motorcycle"}, {33, "bicycle"}};

// A value of an instance map: 1000 * class + instance, or the class alone for regions without instances.
struct CityscapesLabel {
  int class_id = 0;
  bool is_group = false;  // a region of several objects that could not be told apart
};
// Nothing for values that are no object of the eight classes.
std::optional<CityscapesLabel> cityscapes_label(uint16_t value);

struct CityscapesObject {
  uint16_t value = 0;  // of the instance map
  CityscapesLabel label;
  Rle mask;
};
// The objects of an instance map in ascending order of value.
std::vector<CityscapesObject> cityscapes_objects(const Gray16& instances);

// "frankfurt/frankfurt_000000_000294_leftImg8bit.png" -> "frankfurt/frankfurt_000000_000294_gtFine_instanceIds.png".
// Throws Error(data) for other endings.
std::filesystem::path cityscapes_instance_file(const std::filesystem::path& picture);

struct CityscapesConversion {
  std::filesystem::path annotations;  // OUT/instancesonly_filtered_gtFine_SPLIT.json
  int64_t images = 0, objects = 0, groups = 0;
  int64_t empty_images = 0;          // without an object to learn; training leaves them out
  int64_t other_instances = 0;       // of classes that are not evaluated (caravan, trailer)
  std::vector<std::string> skipped;  // pictures left out, each with the reason
};

// root: the folder that holds leftImg8bit and gtFine; split: "train", "val" or "test". Pictures in order of their path
// get the ids 1, 2, ...; file names are relative to root/leftImg8bit/SPLIT. Pictures whose instance map is missing,
// unreadable, of 8 bits or of another size are left out and listed. Throws Error(data) when the folder of the split is
// missing or has no usable picture.
CityscapesConversion convert_cityscapes(const std::filesystem::path& root, const std::string& split,
                                        const std::filesystem::path& out);

}  // namespace tessera
