#include "engine/training/adamw.h"

#include <cmath>

#include "engine/core/dispatch.h"
#include "kernels/adamw.h"

namespace tessera {

AdamW::AdamW(Context& context, ParameterStore& store, const AdamWOptions& options)
    : store_(store), options_(options), decayed_(decay_mask(context, store)) {
  store.add_second_moment(context);
}

double AdamW::step(Context& context, int64_t iteration, double learning_rate) {
  const double norm = finite_gradient_norm(context, iteration, store_);
  const double scale = clip_factor(norm, options_.clip_norm);
  const auto steps = static_cast<double>(iteration + 1);
  dispatch(context, [&](auto& backend) {
    adamw_step(
        backend,
        {store_.values().data<float>(), store_.gradients().data<float>(), store_.momentum().data<float>(),
         store_.second_moment().data<float>(), decayed_.data<uint8_t>(), store_.trainable_elements(),
         static_cast<float>(learning_rate), static_cast<float>(options_.beta1), static_cast<float>(options_.beta2),
         static_cast<float>(options_.epsilon), static_cast<float>(1.0 - std::pow(options_.beta1, steps)),
         static_cast<float>(1.0 - std::pow(options_.beta2, steps)), static_cast<float>(options_.weight_decay),
         static_cast<float>(scale)});
  });
  return norm;
}

}  // namespace tessera
