// Chunks of masks as in mask_pixels.h: a first kernel sums a, b and c per chunk, a thread's sixteen terms in float and
// the rest in double; one thread per mask adds its chunks and finds the factors of the gradient; one block adds the
// losses; a last kernel writes the gradients, computing the probabilities again. 12 bytes per logit, two exponentials:
// bandwidth is the limit.
#include "kernels/dice_loss.h"

#include "kernels/cuda/chunked_sum.h"
#include "kernels/cuda/logistic.h"
#include "kernels/cuda/mask_pixels.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kTotalThreads = 64;
constexpr double kFloor = 0.001;

struct Sums {
  double product, prediction, target;
};

// dL/dz = (on_target q + slope p + level) p (1 - p)
struct Factors {
  float on_target, slope, level;
};

__global__ void __launch_bounds__(kMaskThreads) chunk_sums(DiceLossArgs args, Sums* partial) {
  float product = 0.0f, prediction = 0.0f, target = 0.0f;
  for_each_mask_pixel(args.targets, args.index, args.pixels, [&](int64_t i, float q) {
    const float p = logistic(args.logits[i]);
    product += p * q;
    prediction += args.squared ? p * p : p;
    target += q;
  });
  const double a = block_sum(static_cast<double>(product)), b = block_sum(static_cast<double>(prediction));
  const double c = block_sum(static_cast<double>(target));
  if (threadIdx.x == 0) partial[blockIdx.x] = {a, b, c};
}

__global__ void __launch_bounds__(kTotalThreads)
    mask_totals(DiceLossArgs args, const Sums* partial, Factors* factors, double* losses) {
  const int64_t chunks = mask_chunks(args.pixels);
  for_each_element(args.masks, [&](int64_t mask) {
    Sums sums{0, kFloor, kFloor};
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const Sums& part = partial[mask * chunks + chunk];
      sums.product += part.product;
      sums.prediction += part.prediction;
      sums.target += part.target;
    }
    const double divisor = sums.prediction + sums.target;
    const float on_target = static_cast<float>(-2.0 / divisor * args.scale);
    const float on_square = static_cast<float>(2.0 * sums.product / (divisor * divisor) * args.scale);
    // d b / d p is 2 p with squares and 1 without.
    factors[mask] = {on_target, args.squared ? 2.0f * on_square : 0.0f, args.squared ? 0.0f : on_square};
    losses[mask] = (1.0 - 2.0 * sums.product / divisor) * args.scale;
  });
}

__global__ void __launch_bounds__(kMaskThreads) gradients(DiceLossArgs args, const Factors* factors) {
  const Factors of = factors[blockIdx.x / mask_chunks(args.pixels)];
  for_each_mask_pixel(args.targets, args.index, args.pixels, [&](int64_t i, float q) {
    const float p = logistic(args.logits[i]);
    args.gradient[i] = (of.on_target * q + of.slope * p + of.level) * (p * (1.0f - p));
  });
}

}  // namespace

void dice_loss(DeviceContext& context, const DiceLossArgs& args) {
  const int64_t blocks = args.masks * mask_chunks(args.pixels);
  Scratch<Sums> partial(context, static_cast<size_t>(blocks));
  Scratch<Factors> factors(context, static_cast<size_t>(args.masks));
  Scratch<double> losses(context, static_cast<size_t>(args.masks));
  launch(chunk_sums, static_cast<unsigned>(blocks), kMaskThreads, 0, context, args, partial.data());
  launch(mask_totals, grid_for(args.masks, kTotalThreads), kTotalThreads, 0, context, args, partial.data(),
         factors.data(), losses.data());
  launch(add_sums<float>, 1, kSumThreads, 0, context, losses.data(), args.masks, args.loss);
  if (args.gradient == nullptr) return;
  launch(gradients, static_cast<unsigned>(blocks), kMaskThreads, 0, context, args, factors.data());
}

}  // namespace tessera
