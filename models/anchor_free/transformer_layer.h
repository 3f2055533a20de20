// One layer of the transformer, [N, H, W, C] -> [N, H, W, C] (spec yolactr.md 2.3, 2.4). Attention runs along the
// columns and along the rows, with weights of their own.
//
// hybrid_rezero, the published code of SOTR: x + g_c Col(x) + g_r Row(x), then x + g_1 F_1(x) + g_2 F_2(x), where F is
// 3x3 convolution, leaky ReLU, 3x3 convolution, and the gates g are learned scalars that start at 0.
// preln_mlp, as the papers describe it: x + Col(LN(x)), x + Row(LN(x)), x + MLP(LN(x)) with GELU and four times the
// width.
#pragma once

#include <memory>

#include "engine/autograd/tape.h"
#include "layers/module.h"
#include "models/anchor_free/config.h"

namespace tessera {

class TransformerLayer {
 public:
  virtual ~TransformerLayer() = default;
  virtual Variable forward(Tape& tape, const Variable& x) const = 0;
};

// Names: {column,row}.{query,key_value,output}.{weight,bias}; hybrid_rezero: feed_forward.{0,1}.{conv1,conv2},
// gate.{column,row,feed_forward0,feed_forward1}; preln_mlp: norm_{column,row,mlp}, mlp.{expand,contract}.
std::unique_ptr<TransformerLayer> make_transformer_layer(const ParameterScope& scope, const AnchorFreeConfig& config);

}  // namespace tessera
