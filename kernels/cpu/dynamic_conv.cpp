#include "kernels/dynamic_conv.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/pixel_block.h"

namespace tessera {

namespace {

constexpr int64_t kChunkPixels = 1024;  // whose share of a kernel gradient is summed apart
constexpr int64_t kPanelPixels = 128;   // whose features stay in the second-level cache

int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

// body(image, first pixel, pixels) for blocks of all images.
template <typename Body>
void for_each_block(const CpuContext& context, int64_t images, int64_t pixels, Body&& body) {
  const int64_t blocks = pieces(pixels, kBlockPixels);
  parallel_chunks(context, images * blocks, 4, [&](int64_t, int64_t begin, int64_t end) {
    PixelBlock block;
    for (int64_t at = begin; at < end; ++at) {
      const int64_t first = at % blocks * kBlockPixels;
      body(block, at / blocks, first, std::min(kBlockPixels, pixels - first));
    }
  });
}

}  // namespace

void dynamic_conv_forward(CpuContext& context, const DynamicConvForwardArgs& args) {
  const auto images = static_cast<int64_t>(args.first_instance.size()) - 1;
  const int64_t pixels = args.pixels, channels = args.channels;
  for_each_block(context, images, pixels, [&](PixelBlock& block, int64_t image, int64_t first, int64_t count) {
    const int64_t begin = args.first_instance[static_cast<size_t>(image)];
    const int64_t instances = args.first_instance[static_cast<size_t>(image) + 1] - begin;
    if (instances == 0) return;
    block.load(args.features + (image * pixels + first) * channels, count, channels);
    block.multiply(args.kernels + begin * channels, instances, args.y + begin * pixels + first, pixels);
  });
}

void dynamic_conv_backward(CpuContext& context, const DynamicConvBackwardArgs& args) {
  const auto images = static_cast<int64_t>(args.first_instance.size()) - 1;
  const int64_t pixels = args.pixels, channels = args.channels;
  if (args.dfeatures != nullptr) {
    for_each_block(context, images, pixels, [&](PixelBlock&, int64_t image, int64_t first, int64_t count) {
      const int64_t begin = args.first_instance[static_cast<size_t>(image)];
      const int64_t instances = args.first_instance[static_cast<size_t>(image) + 1] - begin;
      multiply_small({{args.dy + begin * pixels + first, 1, pixels},
                      args.kernels + begin * channels,
                      channels,
                      args.dfeatures + (image * pixels + first) * channels,
                      channels,
                      instances},
                     count, channels);
    });
  }
  if (args.dkernels == nullptr) return;
  const int64_t total = args.first_instance.back();
  std::fill(args.dkernels, args.dkernels + total * channels, 0.0f);
  const int64_t chunks = pieces(pixels, kChunkPixels);
  for (int64_t image = 0; image < images; ++image) {
    const int64_t begin = args.first_instance[static_cast<size_t>(image)];
    const int64_t instances = args.first_instance[static_cast<size_t>(image) + 1] - begin;
    if (instances == 0) continue;
    const int64_t size = instances * channels;
    Scratch<float> partial(context, static_cast<size_t>(chunks * size));
    parallel_chunks(context, pixels, kChunkPixels, [&](int64_t chunk, int64_t from, int64_t to) {
      for (int64_t first = from; first < to; first += kPanelPixels) {
        multiply_small({{args.dy + begin * pixels + first, pixels, 1},
                        args.features + (image * pixels + first) * channels,
                        channels,
                        partial.data() + chunk * size,
                        channels,
                        std::min(kPanelPixels, to - first),
                        first > from},
                       instances, channels);
      }
    });
    parallel_for(context, size, 1 << 12, [&](int64_t from, int64_t to) {
      float* sum = args.dkernels + begin * channels;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const float* part = partial.data() + chunk * size;
#pragma omp simd
        for (int64_t i = from; i < to; ++i) sum[i] += part[i];
      }
    });
  }
}

}  // namespace tessera
