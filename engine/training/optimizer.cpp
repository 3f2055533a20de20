#include "engine/training/optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/dispatch.h"
#include "engine/training/finite_check.h"
#include "kernels/sgd.h"
#include "kernels/sum_of_squares.h"

namespace tessera {

double gradient_norm(Context& context, const ParameterStore& store) {
  double sum = 0;
  dispatch(context, [&](auto& backend) {
    sum_of_squares(backend, {store.gradients().data<float>(), store.gradients().elements(), &sum});
  });
  return std::sqrt(sum);
}

double finite_gradient_norm(Context& context, int64_t iteration, const ParameterStore& store) {
  const double norm = gradient_norm(context, store);
  if (!std::isfinite(norm)) require_finite_gradients(context, iteration, store);
  return norm;
}

double clip_factor(double norm, double clip_norm) {
  return clip_norm > 0 ? std::min(1.0, clip_norm / (norm + 1e-6)) : 1.0;
}

Tensor decay_mask(Context& context, const ParameterStore& store) {
  TESSERA_CHECK(store.momentum().defined(), "the parameters are not allocated for training");
  TESSERA_CHECK(store.trainable_elements() % kSgdBlock == 0, "{} trainable elements", store.trainable_elements());
  std::vector<uint8_t> decayed;
  for (const Parameter& parameter : store.parameters()) {
    if (!parameter.trainable) continue;
    const int64_t blocks = (parameter.shape.elements() + kSgdBlock - 1) / kSgdBlock;
    decayed.insert(decayed.end(), static_cast<size_t>(blocks), parameter.decayed() ? 1 : 0);
  }
  const int64_t blocks = store.trainable_elements() / kSgdBlock;
  return Tensor::from_host<uint8_t>(context, {blocks}, decayed, "decay mask");
}

}  // namespace tessera
