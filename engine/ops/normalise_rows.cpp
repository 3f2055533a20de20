#include "engine/ops/normalise_rows.h"

#include "engine/core/dispatch.h"

namespace tessera {

NormalisedRows normalise_rows(Tape& tape, const char* op, const Variable& x, const Variable& weight,
                              const Variable& bias, const std::vector<RowRange>& segments,
                              const NormaliseRowsOptions& options, const NormalisedSource& source) {
  const int64_t channels = x.shape().back();
  TESSERA_CHECK(channels > 0 && options.groups > 0 && channels % options.groups == 0, "{} channels in {} groups",
                channels, options.groups);
  TESSERA_CHECK(weight.shape() == Shape{channels} && bias.shape() == Shape{channels}, "weight {}, bias {}, {} channels",
                weight.shape().to_string(), bias.shape().to_string(), channels);
  Context& context = tape.context();
  const int64_t segment_count = static_cast<int64_t>(segments.size());
  const bool in_place = source.overwrite && !tape.recording();
  Tensor y = in_place ? x.value : Tensor::empty(context, x.shape(), DType::f32, op);
  Tensor mean = Tensor::empty(context, {segment_count, options.groups}, DType::f32, op);
  Tensor rstd = Tensor::empty(context, {segment_count, options.groups}, DType::f32, op);
  dispatch(context, [&](auto& backend) {
    group_norm_forward(backend, {.x = x.value.data<float>(),
                                 .weight = weight.value.data<float>(),
                                 .bias = bias.value.data<float>(),
                                 .y = y.data<float>(),
                                 .mean = mean.data<float>(),
                                 .rstd = rstd.data<float>(),
                                 .segments = segments.data(),
                                 .segment_count = segment_count,
                                 .channels = channels,
                                 .groups = options.groups,
                                 .epsilon = options.epsilon,
                                 .relu = options.relu,
                                 .moments = source.moments.pointers()});
  });
  Variable output = tape.record(
      op, {x, weight, bias}, y, {x.value, weight.value, bias.value, mean, rstd},
      [segments, options](BackwardPass& pass) {
        const Tensor dy = pass.output_gradient();
        const Tensor &saved_x = pass.saved(0), &saved_weight = pass.saved(1);
        const auto wanted = [&](size_t input, const Tensor& like) {
          return pass.needs_gradient(input) ? Tensor::empty(pass.context(), like.shape(), DType::f32, "gradient")
                                            : Tensor();
        };
        const Tensor dx = wanted(0, saved_x);
        const Tensor dweight = wanted(1, saved_weight);
        const Tensor dbias = wanted(2, saved_weight);
        dispatch(pass.context(), [&](auto& backend) {
          const auto pointer = [](const Tensor& t) { return t.defined() ? t.data<float>() : nullptr; };
          group_norm_backward(backend, {.x = saved_x.data<float>(),
                                        .weight = saved_weight.data<float>(),
                                        .bias = pass.saved(2).data<float>(),
                                        .mean = pass.saved(3).data<float>(),
                                        .rstd = pass.saved(4).data<float>(),
                                        .dy = dy.data<float>(),
                                        .dx = pointer(dx),
                                        .dweight = pointer(dweight),
                                        .dbias = pointer(dbias),
                                        .segments = segments.data(),
                                        .segment_count = static_cast<int64_t>(segments.size()),
                                        .channels = saved_x.shape().back(),
                                        .groups = options.groups,
                                        .relu = options.relu});
        });
        if (dx.defined()) pass.add_gradient(0, dx);
        if (dweight.defined()) pass.add_gradient(1, dweight);
        if (dbias.defined()) pass.add_gradient(2, dbias);
      });
  return {output, mean, rstd};
}

}  // namespace tessera
