#include "data/image/resize.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

Image noise_image(int height, int width) {
  Image image(height, width);
  uint32_t state = 1;
  for (uint8_t& sample : image.pixels) {
    state = (state * 1103515245u + 12345u) % (1u << 31);
    sample = uint8_t(state >> 16);
  }
  return image;
}

uint32_t fnv1a(const std::vector<uint8_t>& bytes) {
  uint32_t hash = 2166136261u;
  for (uint8_t byte : bytes) hash = (hash ^ byte) * 16777619u;
  return hash;
}

// Hashes of what Pillow 11's Image.resize((w, h), BILINEAR) makes of the same 7 x 9 picture of pseudo-random bytes.
TEST(ImageResize, AgreesWithPillowToTheBit) {
  const struct {
    int height, width;
    uint32_t hash;
  } cases[] = {
      {3, 4, 1931604218u}, {16, 21, 687420537u}, {7, 5, 3414045210u}, {10, 9, 1693052749u}, {1, 1, 2415245177u}};
  const Image image = noise_image(7, 9);
  for (const auto& c : cases) {
    const Image resized = resize_bilinear(image, c.height, c.width);
    EXPECT_EQ(resized.height, c.height);
    EXPECT_EQ(resized.width, c.width);
    EXPECT_EQ(fnv1a(resized.pixels), c.hash) << c.height << "x" << c.width;
  }
  EXPECT_EQ(resize_bilinear(image, 7, 9), image);
}

TEST(ImageResize, SameForAnyNumberOfThreads) {
  const Image image = noise_image(123, 77);
  const Image expected = resize_bilinear(image, 61, 200, 1);
  for (int threads : {2, 3, 7}) EXPECT_EQ(resize_bilinear(image, 61, 200, threads), expected);
}

TEST(ImageResize, ConstantStaysConstant) {
  const Image image(13, 4, {255, 128, 1});
  EXPECT_EQ(resize_bilinear(image, 130, 3), Image(130, 3, {255, 128, 1}));
}

// detectron2's ResizeShortestEdge.get_output_shape, computed by hand.
TEST(ImageResize, SizeRule) {
  using Size = std::pair<int, int>;
  EXPECT_EQ(resized_size(480, 640, 800, 1333), Size(800, 1067));
  EXPECT_EQ(resized_size(640, 480, 800, 1333), Size(1067, 800));
  EXPECT_EQ(resized_size(427, 640, 800, 1333), Size(800, 1199));
  EXPECT_EQ(resized_size(300, 1000, 800, 1333), Size(400, 1333));
  EXPECT_EQ(resized_size(500, 500, 800, 1333), Size(800, 800));
  EXPECT_EQ(resized_size(300, 1000, 800, 0), Size(800, 2667));
  EXPECT_EQ(resized_size(1, 5000, 800, 1333), Size(1, 1333));  // detectron2 would give a side of 0
}

}  // namespace
}  // namespace tessera
