#include "kernels/cpu/vector_math.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace tessera {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Every float of a range, thinned: steps of `stride` in the order of the bit patterns, both signs.
std::vector<float> floats_up_to(float largest, uint32_t stride) {
  std::vector<float> values;
  for (uint32_t bits = 0; std::bit_cast<float>(bits) <= largest; bits += stride) {
    values.push_back(std::bit_cast<float>(bits));
    values.push_back(-std::bit_cast<float>(bits));
  }
  return values;
}

template <typename Function, typename Expected>
void expect_close(const std::vector<float>& values, Function function, Expected expected) {
  double worst = 0, at = 0;
  for (const float x : values) {
    const double truth = expected(static_cast<double>(x));
    // Below the normal numbers the error is counted in units of the last subnormal bit.
    const float computed = function(x);
    const double error =
        std::isnan(computed) ? 1.0 : std::abs(computed - truth) / std::max(std::abs(truth), 1.17549435e-38);
    if (error > worst) worst = error, at = x;
  }
  EXPECT_LT(worst, 3e-7) << "at " << at;
}

TEST(VectorMath, ExpAgreesWithTheLibrary) {
  expect_close(
      floats_up_to(88.72f, 1999), [](float x) { return vector_exp(x); }, [](double x) { return std::exp(x); });
  EXPECT_EQ(vector_exp(0.0f), 1.0f);
  EXPECT_EQ(vector_exp(88.8f), kInfinity);
  EXPECT_EQ(vector_exp(kInfinity), kInfinity);
  EXPECT_EQ(vector_exp(-kInfinity), 0.0f);
  EXPECT_EQ(vector_exp(-104.0f), 0.0f);
  EXPECT_GT(vector_exp(-100.0f), 0.0f);
  EXPECT_TRUE(std::isnan(vector_exp(kNan)));
}

TEST(VectorMath, Log1pAgreesWithTheLibraryOnTheUnitInterval) {
  std::vector<float> values = floats_up_to(1.0f, 1999);
  std::erase_if(values, [](float t) { return t < 0; });
  values.push_back(1.0f);
  expect_close(
      values, [](float t) { return vector_log1p_unit(t); }, [](double t) { return std::log1p(t); });
}

TEST(VectorMath, SoftplusAgreesWithTheLibrary) {
  expect_close(
      floats_up_to(87.0f, 1999), [](float x) { return vector_softplus(x); },
      [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); });
  EXPECT_EQ(vector_softplus(1e30f), 1e30f);
  EXPECT_EQ(vector_softplus(-1e30f), 0.0f);
  EXPECT_TRUE(std::isnan(vector_softplus(kNan)));
}

TEST(VectorMath, SigmoidAgreesWithTheLibrary) {
  expect_close(
      floats_up_to(87.0f, 1999), [](float x) { return vector_sigmoid(x); },
      [](double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); });
  EXPECT_EQ(vector_sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(vector_sigmoid(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(vector_sigmoid(kNan)));
}

}  // namespace
}  // namespace tessera
