// All parameters lie in one flat buffer, so one launch steps them all. One thread per four elements, grid-stride; four
// threads share a block of kSgdBlock = 16 elements and so the byte that says whether it decays. 28 bytes (w, g, m, v
// read, w, m, v written), a square root and a division per element: bandwidth is the limit.
#include "kernels/adamw.h"

#include <cmath>

#include "kernels/cuda/port.h"

namespace tessera {

namespace {

constexpr int kAdamwThreads = 256;

struct Factors {
  float rest1, rest2;  // 1 - b1, 1 - b2
  float rate;          // lr / c1
  float root;          // 1 / sqrt(c2)
  float kept;          // 1 - lr d, of w where it decays
};

struct Stepped {
  float value, first, second;
};

__device__ __forceinline__ Stepped step(const AdamWStepArgs& args, const Factors& factors, float keep, float w, float g,
                                        float m, float v) {
  const float scaled = args.gradient_scale * g;
  const float first = args.beta1 * m + factors.rest1 * scaled;
  const float second = args.beta2 * v + factors.rest2 * (scaled * scaled);
  return {keep * w - factors.rate * first / (sqrtf(second) * factors.root + args.epsilon), first, second};
}

template <bool vector>
__global__ void __launch_bounds__(kAdamwThreads) adamw_kernel(AdamWStepArgs args, Factors factors) {
  static_assert(kSgdBlock % 4 == 0);
  for_each_element(args.count / 4, [&](int64_t quad) {
    const int64_t begin = 4 * quad;
    const float keep = args.decayed[begin / kSgdBlock] != 0 ? factors.kept : 1.0f;
    if constexpr (vector) {
      const float4 w = load4(args.value + begin), g = load4(args.gradient + begin);
      const float4 m = load4(args.first + begin), v = load4(args.second + begin);
      const Stepped x = step(args, factors, keep, w.x, g.x, m.x, v.x),
                    y = step(args, factors, keep, w.y, g.y, m.y, v.y),
                    z = step(args, factors, keep, w.z, g.z, m.z, v.z),
                    t = step(args, factors, keep, w.w, g.w, m.w, v.w);
      store4(args.value + begin, make_float4(x.value, y.value, z.value, t.value));
      store4(args.first + begin, make_float4(x.first, y.first, z.first, t.first));
      store4(args.second + begin, make_float4(x.second, y.second, z.second, t.second));
    } else {
      for (int64_t i = begin; i < begin + 4; ++i) {
        const Stepped next = step(args, factors, keep, args.value[i], args.gradient[i], args.first[i], args.second[i]);
        args.value[i] = next.value;
        args.first[i] = next.first;
        args.second[i] = next.second;
      }
    }
  });
}

}  // namespace

void adamw_step(DeviceContext& context, const AdamWStepArgs& args) {
  const Factors factors{1.0f - args.beta1, 1.0f - args.beta2, args.learning_rate / args.correction1,
                        1.0f / std::sqrt(args.correction2), 1.0f - args.learning_rate * args.weight_decay};
  const bool vector = aligned4(0, args.value, args.gradient, args.first, args.second);
  launch(vector ? adamw_kernel<true> : adamw_kernel<false>, grid_for(args.count / 4, kAdamwThreads), kAdamwThreads, 0,
         context, args, factors);
}

}  // namespace tessera
