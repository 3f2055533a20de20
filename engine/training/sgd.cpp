#include "engine/training/sgd.h"

#include "engine/core/dispatch.h"
#include "kernels/sgd.h"

namespace tessera {

Sgd::Sgd(Context& context, const ParameterStore& store, const SgdOptions& options)
    : store_(store), options_(options), decayed_(decay_mask(context, store)) {}

double Sgd::step(Context& context, int64_t iteration, double learning_rate) {
  const double norm = finite_gradient_norm(context, iteration, store_);
  const double scale = clip_factor(norm, options_.clip_norm);
  dispatch(context, [&](auto& backend) {
    sgd_step(backend, {store_.values().data<float>(), store_.gradients().data<float>(), store_.momentum().data<float>(),
                       decayed_.data<uint8_t>(), store_.trainable_elements(), static_cast<float>(learning_rate),
                       static_cast<float>(options_.momentum), static_cast<float>(options_.weight_decay),
                       static_cast<float>(scale)});
  });
  return norm;
}

}  // namespace tessera
