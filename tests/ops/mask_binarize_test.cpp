#include "engine/ops/mask_binarize.h"

#include <gtest/gtest.h>

#include <span>

#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/mask_binarize.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;

// Sizes around the words and around the chunks of the device kernel.
TEST(MaskBinarize, AgreesWithOracle) {
  for (const int64_t pixels : {0, 1, 63, 64, 65, 300, 4096, 4130}) {
    constexpr int64_t kCount = 5;
    Rng rng(2, RandomPurpose::test, 0, static_cast<uint64_t>(pixels));
    std::vector<float> logits(static_cast<size_t>(kCount * pixels));
    for (float& value : logits) value = 2.0f * rng.normal();
    std::fill(logits.begin(), logits.begin() + pixels, -5.0f);  // an empty mask
    if (pixels > 0) logits.back() = 0.0f;                       // exactly the threshold: not set
    for_each_backend([&](Context& context) {
      const BinaryMasks masks =
          mask_binarize(context, Tensor::from_host<float>(context, {kCount, pixels}, logits), 0.5f);
      const auto words = masks.words.to_host<int64_t>(context);
      const auto areas = masks.areas.to_host<int32_t>(context);
      const auto maskness = masks.maskness.to_host<float>(context);
      const int64_t per_mask = (pixels + 63) / 64;
      ASSERT_EQ(static_cast<int64_t>(words.size()), kCount * per_mask);
      for (int64_t m = 0; m < kCount; ++m) {
        const std::span<const float> row(logits.data() + m * pixels, static_cast<size_t>(pixels));
        const reference::BinaryMask expected = reference::mask_binarize(row, 0.5);
        for (int64_t i = 0; i < 64 * per_mask; ++i) {
          const bool bit = static_cast<uint64_t>(words[static_cast<size_t>(m * per_mask + i / 64)]) >> (i % 64) & 1;
          ASSERT_EQ(bit, i < pixels && expected.pixels[static_cast<size_t>(i)]) << m << " " << i;
        }
        EXPECT_EQ(areas[static_cast<size_t>(m)], expected.area);
        EXPECT_NEAR(maskness[static_cast<size_t>(m)], expected.maskness, 1e-6);
      }
    });
  }
}

}  // namespace
}  // namespace tessera
