// Half precision (1-5-10 bits) and bfloat16 (1-8-7 bits) as storage, for builds without NVIDIA's headers. Conversions
// from float round to nearest, ties to even, as the hardware does; every NaN becomes the quiet NaN 0x7fff.
#pragma once

#include <bit>
#include <cstdint>

namespace tessera {
inline namespace emulated_port {

struct half {
  uint16_t bits;
};

struct bfloat16 {
  uint16_t bits;
};

inline float to_float(float value) { return value; }

inline float to_float(half value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t exponent = (value.bits >> 10) & 31u, fraction = value.bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // zero and subnormals
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

inline float to_float(bfloat16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

template <typename T>
T from_float(float value);

template <>
inline float from_float<float>(float value) {
  return value;
}

template <>
inline half from_float<half>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  const auto make = [sign](uint32_t rest) { return half{static_cast<uint16_t>(sign | rest)}; };
  if (magnitude > 0x7f800000u) return half{0x7fff};
  if (magnitude >= 0x477ff000u) return make(0x7c00);  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {                      // below 2^-14: a multiple of 2^-24
    // Adding 0.5 leaves exactly that many fraction bits, rounded by the addition itself.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return make(std::bit_cast<uint32_t>(shifted) - 0x3f000000u);
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return make((rounded - (112u << 23)) >> 13);
}

template <>
inline bfloat16 from_float<bfloat16>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bfloat16{0x7fff};
  return bfloat16{static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace emulated_port
}  // namespace tessera
