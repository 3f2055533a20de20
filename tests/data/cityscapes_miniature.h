// A data set in the layout of Cityscapes, made of rectangles.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/image/encode.h"
#include "data/image/gray16.h"
#include "engine/io/atomic_file.h"

namespace tessera::testing_support {

struct Rectangle {
  int x, y, width, height;
  uint16_t value;
};

inline Gray16 label_map(int height, int width, const std::vector<Rectangle>& rectangles, uint16_t ground = 7) {
  Gray16 map{height, width, std::vector<uint16_t>(static_cast<size_t>(height) * width, ground)};
  for (const Rectangle& r : rectangles) {
    for (int y = r.y; y < r.y + r.height; ++y) {
      for (int x = r.x; x < r.x + r.width; ++x) map.values[static_cast<size_t>(y) * width + x] = r.value;
    }
  }
  return map;
}

// One picture: ROOT/leftImg8bit/SPLIT/CITY/CITY_FRAME_leftImg8bit.png and its instance map under gtFine.
inline void write_frame(const std::filesystem::path& root, const std::string& split, const std::string& city,
                        const std::string& frame, const Gray16& map) {
  const std::filesystem::path pictures = root / "leftImg8bit" / split / city, truth = root / "gtFine" / split / city;
  std::filesystem::create_directories(pictures);
  std::filesystem::create_directories(truth);
  Image picture(map.height, map.width);
  for (size_t i = 0; i < map.values.size(); ++i) picture.pixels[3 * i] = static_cast<uint8_t>(map.values[i]);
  write_png(pictures / (city + "_" + frame + "_leftImg8bit.png"), picture);
  write_file_atomic(truth / (city + "_" + frame + "_gtFine_instanceIds.png"), encode_gray16_png(map));
}

}  // namespace tessera::testing_support
