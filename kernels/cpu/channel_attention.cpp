#include "kernels/channel_attention.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

constexpr int64_t kChunkPixels = 256;  // whose sums are kept in float

// body(image, chunk of the image, first pixel, end) over all images.
template <typename Body>
void for_each_chunk(const CpuContext& context, int64_t images, int64_t pixels, Body&& body) {
  const int64_t chunks = (pixels + kChunkPixels - 1) / kChunkPixels;
  parallel_chunks(context, images * chunks, 1, [&](int64_t at, int64_t, int64_t) {
    const int64_t chunk = at % chunks;
    body(at / chunks, chunk, chunk * kChunkPixels, std::min(pixels, (chunk + 1) * kChunkPixels));
  });
}

}  // namespace

void channel_pool_forward(CpuContext& context, const ChannelPoolForwardArgs& args) {
  const int64_t images = args.images, channels = args.channels, pixels = args.pixels;
  const int64_t chunks = (pixels + kChunkPixels - 1) / kChunkPixels;
  Scratch<float> sums(context, static_cast<size_t>(images * chunks * channels));
  Scratch<float> maxima(context, static_cast<size_t>(images * chunks * channels));
  Scratch<int32_t> winners(context, static_cast<size_t>(images * chunks * channels));
  for_each_chunk(context, images, pixels, [&](int64_t image, int64_t chunk, int64_t begin, int64_t end) {
    const int64_t offset = (image * chunks + chunk) * channels;
    float *sum = sums.data() + offset, *largest = maxima.data() + offset;
    int32_t* winner = winners.data() + offset;
    const float* x = args.x + image * pixels * channels;
    for (int64_t c = 0; c < channels; ++c) {
      sum[c] = largest[c] = x[begin * channels + c];
      winner[c] = static_cast<int32_t>(begin);
    }
    for (int64_t p = begin + 1; p < end; ++p) {
      const float* row = x + p * channels;
      const auto pixel = static_cast<int32_t>(p);
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        sum[c] += row[c];
        winner[c] = row[c] > largest[c] ? pixel : winner[c];
        largest[c] = row[c] > largest[c] ? row[c] : largest[c];
      }
    }
  });
  for (int64_t image = 0; image < images; ++image) {
    for (int64_t c = 0; c < channels; ++c) {
      const auto at = [&](int64_t chunk) { return static_cast<size_t>((image * chunks + chunk) * channels + c); };
      double sum = 0;
      size_t best = at(0);
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        sum += sums[at(chunk)];
        if (maxima[at(chunk)] > maxima[best]) best = at(chunk);
      }
      args.y[image * channels + c] = static_cast<float>(sum / static_cast<double>(pixels));
      args.y[(images + image) * channels + c] = maxima[best];
      args.winners[image * channels + c] = winners[best];
    }
  }
}

void channel_pool_backward(CpuContext& context, const ChannelPoolBackwardArgs& args) {
  const int64_t images = args.images, channels = args.channels, pixels = args.pixels;
  const float inverse = 1.0f / static_cast<float>(pixels);
  for_each_chunk(context, images, pixels, [&](int64_t image, int64_t, int64_t begin, int64_t end) {
    const float *mean = args.dy + image * channels, *largest = args.dy + (images + image) * channels;
    const int32_t* winners = args.winners + image * channels;
    for (int64_t p = begin; p < end; ++p) {
      float* dx = args.dx + (image * pixels + p) * channels;
      const auto pixel = static_cast<int32_t>(p);
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        dx[c] = mean[c] * inverse + (winners[c] == pixel ? largest[c] : 0.0f);
      }
    }
  });
}

void channel_gate_forward(CpuContext& context, const ChannelGateForwardArgs& args) {
  const int64_t channels = args.channels, pixels = args.pixels, all = args.images * channels;
  for (int64_t i = 0; i < all; ++i) {
    float sum = 0;
    for (int64_t set = 0; set < args.sets; ++set) sum += args.logits[set * all + i];
    args.gate[i] = vector_sigmoid(sum);
  }
  for_each_chunk(context, args.images, pixels, [&](int64_t image, int64_t, int64_t begin, int64_t end) {
    const float* gate = args.gate + image * channels;
    for (int64_t p = begin; p < end; ++p) {
      const float* x = args.x + (image * pixels + p) * channels;
      float* y = args.y + (image * pixels + p) * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) y[c] = x[c] * gate[c];
    }
  });
}

void channel_gate_backward(CpuContext& context, const ChannelGateBackwardArgs& args) {
  const int64_t channels = args.channels, pixels = args.pixels, all = args.images * channels;
  const int64_t chunks = (pixels + kChunkPixels - 1) / kChunkPixels;
  const bool logits = args.dlogits != nullptr;
  Scratch<float> sums(context, static_cast<size_t>(logits ? args.images * chunks * channels : 1));
  for_each_chunk(context, args.images, pixels, [&](int64_t image, int64_t chunk, int64_t begin, int64_t end) {
    float* sum = sums.data() + (logits ? (image * chunks + chunk) * channels : 0);
    const float* gate = args.gate + image * channels;
    if (logits) std::fill(sum, sum + channels, 0.0f);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t row = (image * pixels + p) * channels;
      const float* dy = args.dy + row;
      if (logits) {
        const float* x = args.x + row;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) sum[c] += dy[c] * x[c];
      }
      if (args.dx != nullptr) {
        float* dx = args.dx + row;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) dx[c] = dy[c] * gate[c];
      }
    }
  });
  if (!logits) return;
  for (int64_t i = 0; i < all; ++i) {
    const int64_t image = i / channels, c = i % channels;
    double sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      sum += sums[static_cast<size_t>((image * chunks + chunk) * channels + c)];
    }
    const float gradient = static_cast<float>(sum) * args.gate[i] * (1.0f - args.gate[i]);
    for (int64_t set = 0; set < args.sets; ++set) args.dlogits[set * all + i] = gradient;
  }
}

}  // namespace tessera
