// The emulator's half and bfloat16 against the compiler's own half arithmetic and against the definition.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/emulator/float16.h"

namespace tessera {
namespace {

// The nearest of all values of a 16-bit format, ties to the even pattern, by the definition.
template <typename T>
uint16_t nearest_below_or_above(float value, uint16_t guess) {
  uint16_t best = guess;
  double distance = std::numeric_limits<double>::infinity();
  for (int step = -2; step <= 2; ++step) {
    const int magnitude = (guess & 0x7fff) + step;
    if (magnitude < 0 || magnitude > 0x7fff) continue;
    const uint16_t candidate = static_cast<uint16_t>((guess & 0x8000) | magnitude);
    const float widened = to_float(T{candidate});
    if (std::isnan(widened)) continue;
    // Infinity stands for the value that would follow the largest finite one.
    const uint16_t before = static_cast<uint16_t>(candidate - 1), two_before = static_cast<uint16_t>(candidate - 2);
    const double at =
        std::isinf(widened) ? 2.0 * to_float(T{before}) - to_float(T{two_before}) : static_cast<double>(widened);
    const double apart = std::abs(at - value);
    if (apart < distance || (apart == distance && candidate % 2 == 0)) {
      distance = apart;
      best = candidate;
    }
  }
  return best;
}

template <typename T>
void check_every_pattern() {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = to_float(T{static_cast<uint16_t>(bits)});
    if (std::isnan(value)) {
      EXPECT_EQ(from_float<T>(value).bits, 0x7fff);
      continue;
    }
    ASSERT_EQ(from_float<T>(value).bits, bits) << "a value of the format is kept";
    // Between this value and the next in magnitude: just off it, the tie, and either side of the tie.
    const float next = to_float(T{static_cast<uint16_t>(bits + 1)});
    if (std::isnan(next) || std::isinf(value) || std::isinf(next) || (bits & 0x7fff) == 0x7fff) continue;
    const float middle = static_cast<float>((static_cast<double>(value) + next) / 2);
    for (const float probe :
         {middle, std::nextafter(middle, value), std::nextafter(middle, next), std::nextafter(value, next)}) {
      ASSERT_EQ(from_float<T>(probe).bits, nearest_below_or_above<T>(probe, static_cast<uint16_t>(bits)))
          << std::hexfloat << probe;
    }
  }
}

TEST(EmulatorFloat16, HalfRoundsToNearestEven) { check_every_pattern<half>(); }
TEST(EmulatorFloat16, Bfloat16RoundsToNearestEven) { check_every_pattern<bfloat16>(); }

TEST(EmulatorFloat16, KnownHalves) {
  EXPECT_EQ(from_float<half>(1.0f).bits, 0x3c00);
  EXPECT_EQ(from_float<half>(-2.0f).bits, 0xc000);
  EXPECT_EQ(from_float<half>(65504.0f).bits, 0x7bff);
  EXPECT_EQ(from_float<half>(65519.996f).bits, 0x7bff);
  EXPECT_EQ(from_float<half>(65520.0f).bits, 0x7c00);
  EXPECT_EQ(from_float<half>(-1e30f).bits, 0xfc00);
  EXPECT_EQ(from_float<half>(0x1p-24f).bits, 0x0001);
  EXPECT_EQ(from_float<half>(0x1p-25f).bits, 0x0000);
  EXPECT_EQ(from_float<half>(0x1.8p-25f).bits, 0x0001);
  EXPECT_EQ(from_float<half>(0x1p-14f).bits, 0x0400);
  EXPECT_EQ(from_float<half>(-0.0f).bits, 0x8000);
  EXPECT_EQ(from_float<bfloat16>(1.0f).bits, 0x3f80);
  EXPECT_EQ(from_float<bfloat16>(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(from_float<bfloat16>(std::numeric_limits<float>::denorm_min()).bits, 0x0000);
}

}  // namespace
}  // namespace tessera
