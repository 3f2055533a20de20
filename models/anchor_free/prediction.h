// The prediction network (spec yolactr.md, section 2): every level of the pyramid is resized to its grid of N x N
// cells, gets its positions, runs through one transformer shared by all levels, and every cell predicts class logits
// and a dynamic kernel. Names: position.{level}.{row,column}, transformer.{k}.*, class_logits, kernel.
#pragma once

#include <memory>
#include <vector>

#include "layers/module.h"
#include "models/anchor_free/config.h"
#include "models/anchor_free/transformer_layer.h"

namespace tessera {

struct CellPredictions {
  PyramidGeometry geometry;  // of the grids; the cells of all levels and images are its rows
  Variable logits;           // [R, config.logits()]
  Variable kernels;          // [R, kernel channels]
  Variable t5;               // [N, h, w, channels], the size of P5
};

class PredictionNetwork {
 public:
  PredictionNetwork(const ParameterScope& scope, const AnchorFreeConfig& config);

  // maps: P2..P6 [N, h, w, channels].
  CellPredictions forward(Tape& tape, const std::vector<Variable>& maps) const;
  // Of one map of any size: what the layers make of it, duplicated along the width where the config says so.
  Variable transform(Tape& tape, Variable x) const;

 private:
  struct Position {
    const Parameter* row = nullptr;     // [N, channels]
    const Parameter* column = nullptr;  // [N, channels]
  };
  Variable with_position(Tape& tape, const Variable& x, size_t level) const;

  AnchorFreeConfig config_;
  std::vector<Position> positions_;
  std::vector<std::unique_ptr<TransformerLayer>> layers_;
  const Parameter* class_weight_;
  const Parameter* class_bias_;
  const Parameter* kernel_weight_;
  const Parameter* kernel_bias_;
};

}  // namespace tessera
