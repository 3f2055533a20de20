// All parameters lie in one flat buffer, so one launch steps them all. One thread per four elements, grid-stride; four
// threads share a block of kSgdBlock = 16 elements and so the byte that says whether it decays. 20 bytes (w, g, v read,
// w, v written) and 5 operations per element: bandwidth is the limit.
#include "kernels/sgd.h"

#include "kernels/cuda/port.h"

namespace tessera {

namespace {

constexpr int kSgdThreads = 256;

struct Stepped {
  float value, momentum;
};

__device__ __forceinline__ Stepped step(const SgdStepArgs& args, float decay, float w, float g, float v) {
  const float momentum = args.momentum_factor * v + (args.gradient_scale * g + decay * w);
  return {w - args.learning_rate * momentum, momentum};
}

template <bool vector>
__global__ void __launch_bounds__(kSgdThreads) sgd_kernel(SgdStepArgs args) {
  static_assert(kSgdBlock % 4 == 0);
  for_each_element(args.count / 4, [&](int64_t quad) {
    const int64_t begin = 4 * quad;
    const float decay = args.decayed[begin / kSgdBlock] != 0 ? args.weight_decay : 0.0f;
    if constexpr (vector) {
      const float4 w = load4(args.value + begin), g = load4(args.gradient + begin), v = load4(args.momentum + begin);
      const Stepped x = step(args, decay, w.x, g.x, v.x), y = step(args, decay, w.y, g.y, v.y),
                    z = step(args, decay, w.z, g.z, v.z), t = step(args, decay, w.w, g.w, v.w);
      store4(args.value + begin, make_float4(x.value, y.value, z.value, t.value));
      store4(args.momentum + begin, make_float4(x.momentum, y.momentum, z.momentum, t.momentum));
    } else {
      for (int64_t i = begin; i < begin + 4; ++i) {
        const Stepped next = step(args, decay, args.value[i], args.gradient[i], args.momentum[i]);
        args.value[i] = next.value;
        args.momentum[i] = next.momentum;
      }
    }
  });
}

}  // namespace

void sgd_step(DeviceContext& context, const SgdStepArgs& args) {
  const bool vector = aligned4(0, args.value, args.gradient, args.momentum);
  launch(vector ? sgd_kernel<true> : sgd_kernel<false>, grid_for(args.count / 4, kSgdThreads), kSgdThreads, 0, context,
         args);
}

}  // namespace tessera
