// The convolutions that `tessera bench ops` times and checks; with --model it times those of the model instead
// (apps/model_convolutions.h).
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace tessera {

// group: "detector" (ResNet-50, FPN, FCOS at 800 x 1344, batch 1), "grouped", "small" (training, batch 8),
// "model" (bench ops --model, without names)
struct BenchShape {
  const char* group;
  const char* name;
  int64_t images, height, width, in, out, window, stride, groups;
};

inline constexpr BenchShape kBenchShapes[] = {
    {"detector", "tower P3", 1, 100, 168, 256, 256, 3, 1, 1},
    {"detector", "tower P4, res4 3x3", 1, 50, 84, 256, 256, 3, 1, 1},
    {"detector", "tower P5", 1, 25, 42, 256, 256, 3, 1, 1},
    {"detector", "classes P3", 1, 100, 168, 256, 80, 3, 1, 1},
    {"detector", "classes P4", 1, 50, 84, 256, 80, 3, 1, 1},
    {"detector", "stem", 1, 800, 1344, 3, 64, 7, 2, 1},
    {"detector", "res2 3x3", 1, 200, 336, 64, 64, 3, 1, 1},
    {"detector", "res2 expand", 1, 200, 336, 64, 256, 1, 1, 1},
    {"detector", "res2 reduce", 1, 200, 336, 256, 64, 1, 1, 1},
    {"detector", "res3 3x3", 1, 100, 168, 128, 128, 3, 1, 1},
    {"detector", "res3 expand", 1, 100, 168, 128, 512, 1, 1, 1},
    {"detector", "res3 reduce", 1, 100, 168, 512, 128, 1, 1, 1},
    {"detector", "res3 shortcut", 1, 200, 336, 256, 512, 1, 2, 1},
    {"detector", "res4 expand", 1, 50, 84, 256, 1024, 1, 1, 1},
    {"detector", "res4 reduce", 1, 50, 84, 1024, 256, 1, 1, 1},
    {"detector", "res4 shortcut", 1, 100, 168, 512, 1024, 1, 2, 1},
    {"detector", "res5 3x3", 1, 25, 42, 512, 512, 3, 1, 1},
    {"detector", "res5 expand", 1, 25, 42, 512, 2048, 1, 1, 1},
    {"detector", "res5 reduce", 1, 25, 42, 2048, 512, 1, 1, 1},
    {"detector", "res5 shortcut", 1, 50, 84, 1024, 2048, 1, 2, 1},
    {"detector", "lateral P3", 1, 100, 168, 512, 256, 1, 1, 1},
    {"detector", "boxes P3", 1, 100, 168, 256, 4, 3, 1, 1},
    {"detector", "centerness P3", 1, 100, 168, 256, 1, 3, 1, 1},
    {"grouped", "32x8d res2", 1, 200, 336, 256, 256, 3, 1, 32},
    {"grouped", "32x8d res3", 1, 100, 168, 512, 512, 3, 1, 32},
    {"grouped", "32x8d res4", 1, 50, 84, 1024, 1024, 3, 1, 32},
    {"grouped", "64x4d res2", 1, 200, 336, 256, 256, 3, 1, 64},
    {"small", "stem", 8, 256, 256, 3, 32, 7, 2, 1},
    {"small", "64x64", 8, 64, 64, 64, 64, 3, 1, 1},
    {"small", "32x32", 8, 32, 32, 64, 64, 3, 1, 1},
    {"small", "16x16", 8, 16, 16, 64, 64, 3, 1, 1},
    {"small", "8x8", 8, 8, 8, 64, 64, 3, 1, 1},
    {"small", "16x16 128", 8, 16, 16, 128, 128, 3, 1, 1},
    {"small", "stride 2", 8, 64, 64, 32, 64, 3, 2, 1},
    {"small", "1x1", 8, 32, 32, 128, 64, 1, 1, 1},
    {"small", "5 classes", 8, 32, 32, 64, 5, 3, 1, 1},
    {"small", "boxes", 8, 32, 32, 64, 4, 3, 1, 1},
    {"small", "centerness", 8, 32, 32, 64, 1, 3, 1, 1},
    {"small", "objects", 8, 32, 32, 64, 288, 3, 1, 1},
};

inline std::string describe(const BenchShape& shape) {
  std::string text = *shape.name != '\0' ? fmt::format("{}: ", shape.name) : "";
  text += fmt::format("{}x{}x{} {}->{} {}x{}", shape.images, shape.height, shape.width, shape.in, shape.out,
                      shape.window, shape.window);
  if (shape.stride > 1) text += fmt::format(" stride {}", shape.stride);
  if (shape.groups > 1) text += fmt::format(" groups {}", shape.groups);
  return text;
}

}  // namespace tessera
