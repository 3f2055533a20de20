#include "data/image/palette.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tessera {
namespace {

// OKLab by B. Ottosson (2020), https://bottosson.github.io/posts/oklab: the two matrices and the cube are from there.
struct Linear {
  float r, g, b;
};

Linear from_oklab(float lightness, float a, float b) {
  const auto cube = [](float v) { return v * v * v; };
  const float l = cube(lightness + 0.3963377774f * a + 0.2158037573f * b);
  const float m = cube(lightness - 0.1055613458f * a - 0.0638541728f * b);
  const float s = cube(lightness - 0.0894841775f * a - 1.2914855480f * b);
  return {4.0767416621f * l - 3.3077115913f * m + 0.2309699292f * s,
          -1.2684380046f * l + 2.6097574011f * m - 0.3413193965f * s,
          -0.0041960863f * l - 0.7034186147f * m + 1.7076147010f * s};
}

float to_linear(uint8_t sample) {
  const float v = sample / 255.f;
  return v <= 0.04045f ? v / 12.92f : std::pow((v + 0.055f) / 1.055f, 2.4f);
}

uint8_t to_sample(float linear) {
  const float v = std::clamp(linear, 0.f, 1.f);
  const float encoded = v <= 0.0031308f ? 12.92f * v : 1.055f * std::pow(v, 1 / 2.4f) - 0.055f;
  return uint8_t(std::lround(encoded * 255));
}

}  // namespace

Rgb palette_color(int index) {
  constexpr float golden_angle = 137.50776f, first_hue = 250;  // degrees; the first colour is a calm blue
  constexpr float levels[] = {0.68f, 0.78f, 0.62f};            // lightness changes too: safer for colour-blind eyes
  const float hue = (first_hue + golden_angle * float(index)) * std::numbers::pi_v<float> / 180;
  const float level = levels[index % 3];
  for (float chroma = 0.17f;; chroma -= 0.01f) {  // the strongest colour of that hue that a screen can show
    const Linear c = from_oklab(level, chroma * std::cos(hue), chroma * std::sin(hue));
    const bool is_displayable = std::min({c.r, c.g, c.b}) >= 0 && std::max({c.r, c.g, c.b}) <= 1;
    if (is_displayable || chroma <= 0.05f) return {to_sample(c.r), to_sample(c.g), to_sample(c.b)};
  }
}

float lightness(Rgb color) {
  const float r = to_linear(color.r), g = to_linear(color.g), b = to_linear(color.b);
  const float l = std::cbrt(0.4122214708f * r + 0.5363325363f * g + 0.0514459929f * b);
  const float m = std::cbrt(0.2119034982f * r + 0.6806995451f * g + 0.1073969566f * b);
  const float s = std::cbrt(0.0883024619f * r + 0.2817188376f * g + 0.6299787005f * b);
  return 0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s;
}

Rgb shade(Rgb color, float amount) {
  const float target = amount > 0 ? 255.f : 0.f, share = std::abs(amount);
  const auto mix = [&](uint8_t v) { return uint8_t(std::lround(v + (target - v) * share)); };
  return {mix(color.r), mix(color.g), mix(color.b)};
}

Rgb readable_on(Rgb ground) { return lightness(ground) > 0.64f ? Rgb{20, 22, 26} : Rgb{255, 255, 255}; }

}  // namespace tessera
