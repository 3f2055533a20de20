// Two passes over the logits: sums, then gradients. The first leaves its probabilities where the second writes the
// gradients, so the exponential is computed once.
#include "kernels/dice_loss.h"

#include <algorithm>

#include "kernels/cpu/mask_bits.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

constexpr int64_t kChunk = 4096;  // pixels of a task, a multiple of 32
constexpr double kFloor = 0.001;

struct Sums {
  double product = 0, prediction = 0, target = 0;
};

template <bool squared>
Sums chunk_sums(const float* logits, const int32_t* words, float* probabilities, int64_t begin, int64_t end) {
  Sums sums;
  for_each_word(words, begin, end, [&](int64_t first, int64_t count, uint32_t word) {
    float product = 0, prediction = 0;
    const float* z = logits + first;
    float* kept = probabilities != nullptr ? probabilities + first : nullptr;
#pragma omp simd reduction(+ : product, prediction)
    for (int64_t i = 0; i < count; ++i) {
      const float p = vector_sigmoid(z[i]);
      product += p * bit_value(word, i);
      prediction += squared ? p * p : p;
      if (kept != nullptr) kept[i] = p;
    }
    sums.product += product;
    sums.prediction += prediction;
    const uint32_t used = count == 32 ? ~0u : (1u << count) - 1u;
    sums.target += __builtin_popcount(word & used);
  });
  return sums;
}

}  // namespace

void dice_loss(CpuContext& context, const DiceLossArgs& args) {
  const int64_t chunks = (args.pixels + kChunk - 1) / kChunk, words = mask_words(args.pixels);
  Scratch<Sums> partial(context, static_cast<size_t>(args.masks * chunks));
  parallel_chunks(context, args.masks * chunks, 1, [&](int64_t at, int64_t, int64_t) {
    const int64_t mask = at / chunks, begin = at % chunks * kChunk, end = std::min(args.pixels, begin + kChunk);
    const float* logits = args.logits + mask * args.pixels;
    const int32_t* target = args.targets + args.index[mask] * words;
    float* kept = args.gradient != nullptr ? args.gradient + mask * args.pixels : nullptr;
    partial[static_cast<size_t>(at)] = args.squared ? chunk_sums<true>(logits, target, kept, begin, end)
                                                    : chunk_sums<false>(logits, target, kept, begin, end);
  });
  Scratch<Sums> total(context, static_cast<size_t>(args.masks));
  double loss = 0;
  for (int64_t mask = 0; mask < args.masks; ++mask) {
    Sums sums{0, kFloor, kFloor};
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const Sums& part = partial[static_cast<size_t>(mask * chunks + chunk)];
      sums.product += part.product;
      sums.prediction += part.prediction;
      sums.target += part.target;
    }
    total[static_cast<size_t>(mask)] = sums;
    loss += 1.0 - 2.0 * sums.product / (sums.prediction + sums.target);
  }
  args.loss[0] = static_cast<float>(loss * args.scale);
  if (args.gradient == nullptr) return;
  parallel_chunks(context, args.masks * chunks, 1, [&](int64_t at, int64_t, int64_t) {
    const int64_t mask = at / chunks, begin = at % chunks * kChunk, end = std::min(args.pixels, begin + kChunk);
    const Sums& sums = total[static_cast<size_t>(mask)];
    const double divisor = sums.prediction + sums.target;
    const auto on_target = static_cast<float>(-2.0 / divisor * args.scale);
    const auto on_square = static_cast<float>(2.0 * sums.product / (divisor * divisor) * args.scale);
    // d b / d p is 2 p with squares and 1 without.
    const float slope = args.squared ? 2.0f * on_square : 0.0f, level = args.squared ? 0.0f : on_square;
    float* gradient = args.gradient + mask * args.pixels;
    for_each_word(args.targets + args.index[mask] * words, begin, end,
                  [&](int64_t first, int64_t count, uint32_t word) {
                    float* g = gradient + first;
#pragma omp simd
                    for (int64_t i = 0; i < count; ++i) {
                      const float p = g[i];
                      g[i] = (on_target * bit_value(word, i) + slope * p + level) * (p * (1.0f - p));
                    }
                  });
  });
}

}  // namespace tessera
