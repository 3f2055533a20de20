// A picture in memory: 8-bit RGB, interleaved, rows top to bottom without padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera {

struct Rgb {
  uint8_t r = 0, g = 0, b = 0;
  friend bool operator==(const Rgb&, const Rgb&) = default;
};

struct Image {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // height * width * 3: R, G, B of pixel (0,0), of pixel (0,1), ...

  Image() = default;
  Image(int image_height, int image_width, Rgb fill = {})
      : height(image_height), width(image_width), pixels(size_t(image_height) * image_width * 3) {
    if (fill == Rgb{}) return;
    for (size_t i = 0; i < pixels.size(); i += 3) pixels[i] = fill.r, pixels[i + 1] = fill.g, pixels[i + 2] = fill.b;
  }

  bool empty() const { return pixels.empty(); }
  uint8_t* at(int y, int x) { return pixels.data() + (size_t(y) * width + x) * 3; }
  const uint8_t* at(int y, int x) const { return pixels.data() + (size_t(y) * width + x) * 3; }
  Rgb color(int y, int x) const { return {at(y, x)[0], at(y, x)[1], at(y, x)[2]}; }
  friend bool operator==(const Image&, const Image&) = default;
};

// Lays `color` over one pixel; cover 0..1.
inline void blend(Image& image, int y, int x, Rgb color, float cover) {
  uint8_t* pixel = image.at(y, x);
  const uint8_t source[3] = {color.r, color.g, color.b};
  for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(pixel[c] + (source[c] - pixel[c]) * cover + 0.5f);
}

}  // namespace tessera
