#include "engine/ops/frozen_batch_norm.h"

#include "engine/core/dispatch.h"
#include "kernels/frozen_batch_norm.h"

namespace tessera {

AffineTensors frozen_batch_norm_affine(Context& context, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                                       const Tensor& variance, float epsilon) {
  for (const Tensor* tensor : {&bias, &mean, &variance}) {
    TESSERA_CHECK(tensor->shape() == weight.shape(), "{} beside {}", tensor->shape().to_string(),
                  weight.shape().to_string());
  }
  AffineTensors affine{Tensor::empty(context, weight.shape(), DType::f32, "frozen_batch_norm"),
                       Tensor::empty(context, weight.shape(), DType::f32, "frozen_batch_norm")};
  dispatch(context, [&](auto& backend) {
    frozen_batch_norm_affine(backend, {weight.data<float>(), bias.data<float>(), mean.data<float>(),
                                       variance.data<float>(), affine.scale.template data<float>(),
                                       affine.shift.template data<float>(), weight.elements(), epsilon});
  });
  return affine;
}

}  // namespace tessera
