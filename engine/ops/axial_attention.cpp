#include "engine/ops/axial_attention.h"

#include "engine/core/dispatch.h"
#include "kernels/axial_attention.h"

namespace tessera {

namespace {

Variable run(Tape& tape, const Variable& query, const Variable& key_value, std::vector<AttentionMap> maps, int heads,
             AttentionAxis axis) {
  const int64_t channels = query.shape().back();
  TESSERA_CHECK(key_value.shape().back() == 2 * channels && key_value.value.elements() == 2 * query.value.elements() &&
                    heads >= 1 && channels % heads == 0,
                "axial_attention: {} heads, queries {}, keys and values {}", heads, query.shape().to_string(),
                key_value.shape().to_string());
  const bool along_columns = axis == AttentionAxis::column;
  for (const AttentionMap& map : maps) {
    const int64_t length = along_columns ? map.height : map.width;
    tape.count_macs(2 * map.images * map.height * map.width * length * channels);
  }
  Tensor y = Tensor::empty(tape.context(), query.shape(), DType::f32, "axial_attention");
  dispatch(tape.context(), [&](auto& backend) {
    axial_attention_forward(backend, {maps, query.value.data<float>(), key_value.value.data<float>(), y.data<float>(),
                                      channels, heads, along_columns});
  });
  return tape.record("axial_attention", {query, key_value}, y, {query.value, key_value.value},
                     [maps = std::move(maps), channels, heads, along_columns](BackwardPass& pass) {
                       const Tensor &q = pass.saved(0), &kv = pass.saved(1), dy = pass.output_gradient();
                       Tensor dq = Tensor::empty(pass.context(), q.shape(), DType::f32, "gradient");
                       Tensor dkv = Tensor::empty(pass.context(), kv.shape(), DType::f32, "gradient");
                       dispatch(pass.context(), [&](auto& backend) {
                         axial_attention_backward(
                             backend, {maps, q.data<float>(), kv.data<float>(), dy.data<float>(), dq.data<float>(),
                                       dkv.data<float>(), channels, heads, along_columns});
                       });
                       pass.add_gradient(0, std::move(dq));
                       pass.add_gradient(1, std::move(dkv));
                     });
}

}  // namespace

Variable axial_attention(Tape& tape, const Variable& query, const Variable& key_value, int heads, AttentionAxis axis) {
  TESSERA_CHECK(query.shape().rank() == 4, "map of shape {}", query.shape().to_string());
  return run(tape, query, key_value, {{query.extent(0), query.extent(1), query.extent(2), 0}}, heads, axis);
}

Pyramid axial_attention(Tape& tape, const Pyramid& query, const Pyramid& key_value, int heads, AttentionAxis axis) {
  std::vector<AttentionMap> maps;
  for (const PyramidLevel& level : query.geometry.levels()) {
    maps.push_back({query.geometry.images(), level.height, level.width, level.row_begin});
  }
  return {run(tape, query.rows, key_value.rows, std::move(maps), heads, axis), query.geometry};
}

}  // namespace tessera
