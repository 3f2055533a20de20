#include "engine/core/rng.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/philox.h"

namespace tessera {
namespace {

// Known answers published with the generator (Random123, kat_vectors, philox4x32 10 rounds).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Rng, IsAFunctionOfItsKey) {
  const auto first = [](uint64_t seed, RandomPurpose purpose, uint64_t step, uint64_t sample) {
    return Rng(seed, purpose, step, sample).bits();
  };
  std::set<uint32_t> seen;
  for (uint64_t seed : {1, 2})
    for (RandomPurpose purpose : {RandomPurpose::shuffle, RandomPurpose::augmentation})
      for (uint64_t step : {0, 1})
        for (uint64_t sample : {0, 1}) seen.insert(first(seed, purpose, step, sample));
  EXPECT_EQ(seen.size(), 16u);
  EXPECT_EQ(first(1, RandomPurpose::shuffle, 2, 3), first(1, RandomPurpose::shuffle, 2, 3));
}

TEST(Rng, MomentsOfUniformAndNormal) {
  Rng rng(5, RandomPurpose::test);
  double uniform = 0, normal = 0, square = 0;
  const int count = 200000;
  for (int i = 0; i < count; ++i) {
    const float u = rng.uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    uniform += u;
    const float n = rng.normal();
    normal += n;
    square += double{n} * n;
  }
  EXPECT_NEAR(uniform / count, 0.5, 0.005);
  EXPECT_NEAR(normal / count, 0.0, 0.01);
  EXPECT_NEAR(square / count, 1.0, 0.02);
  std::array<int, 5> histogram{};
  for (int i = 0; i < 50000; ++i) ++histogram[rng.below(5)];
  for (const int bin : histogram) EXPECT_NEAR(bin, 10000, 500);
}

}  // namespace
}  // namespace tessera
