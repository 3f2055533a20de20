#include "engine/ops/dynamic_conv.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "kernels/dynamic_conv.h"

namespace tessera {

Variable dynamic_conv(Tape& tape, const Variable& features, const Variable& kernels,
                      std::span<const int64_t> first_instance) {
  TESSERA_CHECK(features.shape().rank() == 4 && kernels.shape().rank() == 2 && features.extent(3) == kernels.extent(1),
                "dynamic_conv: features {}, kernels {}", features.shape().to_string(), kernels.shape().to_string());
  const int64_t images = features.extent(0), height = features.extent(1), width = features.extent(2);
  const int64_t channels = features.extent(3), instances = kernels.extent(0), pixels = height * width;
  TESSERA_CHECK(static_cast<int64_t>(first_instance.size()) == images + 1 && first_instance.front() == 0 &&
                    first_instance.back() == instances && std::is_sorted(first_instance.begin(), first_instance.end()),
                "dynamic_conv: {} numbers that divide {} instances among {} images", first_instance.size(), instances,
                images);
  tape.count_macs(instances * pixels * channels);
  std::vector<int64_t> first(first_instance.begin(), first_instance.end());
  Tensor y = Tensor::empty(tape.context(), {instances, height, width}, DType::f32, "dynamic_conv");
  dispatch(tape.context(), [&](auto& backend) {
    dynamic_conv_forward(
        backend, {first, features.value.data<float>(), kernels.value.data<float>(), y.data<float>(), pixels, channels});
  });
  std::vector<Tensor> saved(2);
  if (kernels.needs_gradient()) saved[0] = features.value;
  if (features.needs_gradient()) saved[1] = kernels.value;
  return tape.record(
      "dynamic_conv", {features, kernels}, y, std::move(saved),
      [first = std::move(first), features_shape = features.shape(), kernels_shape = kernels.shape(), pixels,
       channels](BackwardPass& pass) {
        const Tensor dy = pass.output_gradient();
        const auto wanted = [&](size_t input, const Shape& shape) {
          return pass.needs_gradient(input) ? Tensor::empty(pass.context(), shape, DType::f32, "gradient") : Tensor();
        };
        const auto data = [](const Tensor& tensor) { return tensor.defined() ? tensor.data<float>() : nullptr; };
        const Tensor dfeatures = wanted(0, features_shape), dkernels = wanted(1, kernels_shape);
        dispatch(pass.context(), [&](auto& backend) {
          dynamic_conv_backward(backend, {first, data(pass.saved(0)), data(pass.saved(1)), dy.data<float>(),
                                          data(dfeatures), data(dkernels), pixels, channels});
        });
        if (dfeatures.defined()) pass.add_gradient(0, dfeatures);
        if (dkernels.defined()) pass.add_gradient(1, dkernels);
      });
}

}  // namespace tessera
