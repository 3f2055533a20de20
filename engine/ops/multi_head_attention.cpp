#include "engine/ops/multi_head_attention.h"

#include "engine/core/dispatch.h"
#include "engine/core/precision.h"
#include "kernels/multi_head_attention.h"

namespace tessera {

namespace {

enum Input : size_t { kQuery, kKey, kValue, kOutput, kLogSum };  // and what is saved

MultiHeadAttentionShape shape_of(const Shape& query, const Shape& key, const Shape& value, int heads) {
  TESSERA_CHECK(query.rank() == 3 && key.rank() == 3 && value == key && query[0] == key[0] && query[2] == key[2] &&
                    key[1] >= 1 && heads >= 1 && query[2] >= heads && query[2] % heads == 0,
                "multi_head_attention: {} heads, queries {}, keys {}, values {}", heads, query.to_string(),
                key.to_string(), value.to_string());
  return {query[0], query[1], key[1], query[2], heads};
}

void backward(BackwardPass& pass, const MultiHeadAttentionShape& shape) {
  const Tensor dy = pass.output_gradient();
  Tensor gradients[3];
  float* data[3] = {};
  for (const Input input : {kQuery, kKey, kValue}) {
    if (!pass.needs_gradient(input)) continue;
    gradients[input] = Tensor::empty(pass.context(), pass.saved(input).shape(), DType::f32, "gradient");
    data[input] = gradients[input].data<float>();
  }
  const auto saved = [&](size_t index) { return pass.saved(index).data<float>(); };
  dispatch(pass.context(), [&](auto& backend) {
    multi_head_attention_backward(
        backend, {shape, saved(kQuery), saved(kKey), saved(kValue), saved(kOutput), saved(kLogSum), dy.data<float>(),
                  data[kQuery], data[kKey], data[kValue], precision_of(pass.context())});
  });
  for (const Input input : {kQuery, kKey, kValue}) {
    if (gradients[input].defined()) pass.add_gradient(input, std::move(gradients[input]));
  }
}

}  // namespace

Variable multi_head_attention(Tape& tape, const Variable& query, const Variable& key, const Variable& value,
                              int heads) {
  const MultiHeadAttentionShape shape = shape_of(query.shape(), key.shape(), value.shape(), heads);
  tape.count_macs(2 * shape.sequences * shape.queries * shape.keys * shape.channels);
  Tensor y = Tensor::empty(tape.context(), query.shape(), DType::f32, "multi_head_attention");
  Tensor log_sum;
  if (tape.will_record({query, key, value})) {
    log_sum = Tensor::empty(tape.context(), {shape.sequences, shape.heads, shape.queries}, DType::f32,
                            "multi_head_attention");
  }
  dispatch(tape.context(), [&](auto& backend) {
    multi_head_attention_forward(
        backend, {shape, query.value.data<float>(), key.value.data<float>(), value.value.data<float>(), y.data<float>(),
                  log_sum.defined() ? log_sum.data<float>() : nullptr, precision_of(tape.context())});
  });
  return tape.record("multi_head_attention", {query, key, value}, y, {query.value, key.value, value.value, y, log_sum},
                     [shape](BackwardPass& pass) { backward(pass, shape); });
}

}  // namespace tessera
