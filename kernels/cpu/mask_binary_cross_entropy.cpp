#include "kernels/mask_binary_cross_entropy.h"

#include <algorithm>

#include "kernels/cpu/chunked_sum.h"
#include "kernels/cpu/mask_bits.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

constexpr int64_t kChunk = 4096;  // pixels of a task, a multiple of 32

}  // namespace

void mask_binary_cross_entropy(CpuContext& context, const MaskBinaryCrossEntropyArgs& args) {
  const int64_t chunks = (args.pixels + kChunk - 1) / kChunk, words = mask_words(args.pixels);
  const double loss = chunked_sum(context, args.masks * chunks, 1, [&](int64_t at, int64_t) {
    const int64_t mask = at / chunks, begin = at % chunks * kChunk, end = std::min(args.pixels, begin + kChunk);
    const float* logits = args.logits + mask * args.pixels;
    float* gradient = args.gradient != nullptr ? args.gradient + mask * args.pixels : nullptr;
    double total = 0;
    for_each_word(args.targets + args.index[mask] * words, begin, end,
                  [&](int64_t first, int64_t count, uint32_t word) {
                    const float* z = logits + first;
                    float* g = gradient != nullptr ? gradient + first : nullptr;
                    float sum = 0;
#pragma omp simd reduction(+ : sum)
                    for (int64_t i = 0; i < count; ++i) {
                      const float q = bit_value(word, i);
                      sum += vector_softplus(z[i]) - q * z[i];
                      if (g != nullptr) g[i] = (vector_sigmoid(z[i]) - q) * args.scale;
                    }
                    total += sum;
                  });
    return total;
  });
  args.loss[0] = static_cast<float>(loss * args.scale);
}

}  // namespace tessera
