#include "engine/ops/batch_norm.h"

#include "engine/core/dispatch.h"
#include "engine/ops/normalise_rows.h"
#include "kernels/batch_norm.h"

namespace tessera {

Variable batch_norm(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias,
                    const Tensor& running_mean, const Tensor& running_variance, const BatchNormOptions& options) {
  TESSERA_CHECK(x.shape().rank() == 4, "map of shape {}", x.shape().to_string());
  const int64_t channels = x.extent(3);
  const int64_t rows = x.extent(0) * x.extent(1) * x.extent(2);
  TESSERA_CHECK(rows > 0, "batch norm over {}", x.shape().to_string());
  TESSERA_CHECK(running_mean.defined() == running_variance.defined(), "one running statistic without the other");
  const NormalisedRows result =
      normalise_rows(tape, "batch_norm", x, weight, bias, {{0, rows}}, {channels, options.epsilon, options.relu});
  if (running_mean.defined()) {
    TESSERA_CHECK(running_mean.shape() == Shape{channels} && running_variance.shape() == Shape{channels},
                  "running statistics {}, {} of {} channels", running_mean.shape().to_string(),
                  running_variance.shape().to_string(), channels);
    dispatch(tape.context(), [&](auto& backend) {
      batch_norm_update(backend, {.mean = result.mean.template data<float>(),
                                  .rstd = result.rstd.template data<float>(),
                                  .running_mean = running_mean.data<float>(),
                                  .running_variance = running_variance.data<float>(),
                                  .channels = channels,
                                  .count = rows,
                                  .epsilon = options.epsilon,
                                  .momentum = options.momentum});
    });
  }
  return result.y;
}

}  // namespace tessera
