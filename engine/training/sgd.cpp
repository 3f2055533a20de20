#include "engine/training/sgd.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/dispatch.h"
#include "engine/training/finite_check.h"
#include "kernels/sgd.h"
#include "kernels/sum_of_squares.h"

namespace tessera {

Sgd::Sgd(Context& context, const ParameterStore& store, const SgdOptions& options) : store_(store), options_(options) {
  TESSERA_CHECK(store.momentum().defined(), "the parameters are not allocated for training");
  TESSERA_CHECK(store.trainable_elements() % kSgdBlock == 0, "{} trainable elements", store.trainable_elements());
  std::vector<uint8_t> decayed;
  for (const Parameter& parameter : store.parameters()) {
    if (!parameter.trainable) continue;
    const int64_t blocks = (parameter.shape.elements() + kSgdBlock - 1) / kSgdBlock;
    decayed.insert(decayed.end(), static_cast<size_t>(blocks), parameter.decayed() ? 1 : 0);
  }
  const int64_t blocks = store.trainable_elements() / kSgdBlock;
  decayed_ = Tensor::from_host<uint8_t>(context, {blocks}, decayed, "decay mask");
}

double Sgd::step(Context& context, int64_t iteration, double learning_rate) {
  const double norm = gradient_norm(context, store_);
  if (!std::isfinite(norm)) require_finite_gradients(context, iteration, store_);
  double scale = 1.0;
  if (options_.clip_norm > 0) scale = std::min(1.0, options_.clip_norm / (norm + 1e-6));
  dispatch(context, [&](auto& backend) {
    sgd_step(backend, {store_.values().data<float>(), store_.gradients().data<float>(), store_.momentum().data<float>(),
                       decayed_.data<uint8_t>(), store_.trainable_elements(), static_cast<float>(learning_rate),
                       static_cast<float>(options_.momentum), static_cast<float>(options_.weight_decay),
                       static_cast<float>(scale)});
  });
  return norm;
}

double gradient_norm(Context& context, const ParameterStore& store) {
  double sum = 0;
  dispatch(context, [&](auto& backend) {
    sum_of_squares(backend, {store.gradients().data<float>(), store.gradients().elements(), &sum});
  });
  return std::sqrt(sum);
}

}  // namespace tessera
