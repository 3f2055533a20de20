// Rounding to the operand types of tensor cores, from the definition of a floating-point format.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace tessera::reference {

struct FloatFormat {
  int fraction_bits;
  int least_exponent;      // of normal numbers
  bool ties_away = false;  // from zero; otherwise to even
};
inline constexpr FloatFormat kTf32{10, -126, true}, kBfloat16{7, -126}, kHalf{10, -14};

inline double rounded_to(const FloatFormat& format, double value) {
  if (value == 0) return value;
  const int exponent = std::max(std::ilogb(value), format.least_exponent);
  const double scaled = std::ldexp(value, format.fraction_bits - exponent);
  return std::ldexp(format.ties_away ? std::round(scaled) : std::nearbyint(scaled), exponent - format.fraction_bits);
}

inline std::vector<double> rounded_to(const FloatFormat& format, std::vector<double> values) {
  for (double& value : values) value = rounded_to(format, value);
  return values;
}

}  // namespace tessera::reference
