// Object embeddings: 2 k k dim numbers per cell of the pyramid, channel ((i * 2 + f) * dim + c) for grid cell i = iy *
// k + ix and f = 0 foreground, 1 background. Names: tower.{0,1,3,4,..}, pred.
#pragma once

#include "layers/conv_tower.h"
#include "models/gridmask/config.h"

namespace tessera {

class ObjectBranch {
 public:
  ObjectBranch(const ParameterScope& scope, const GridMaskConfig& config, int channels);

  // Everything but the last convolution, [R, channels] -> [R, channels].
  Pyramid features(Tape& tape, const Pyramid& pyramid) const { return tower_.forward(tape, pyramid); }

  // The last convolution on every cell: [R, 2 k k dim].
  Pyramid embeddings(Tape& tape, const Pyramid& features) const;
  // The same where it is needed, rows i32 [J]: [J, 2 k k dim]. A few hundred of thousands of cells are ever looked at,
  // and this is the widest convolution of the model.
  Variable embeddings_at(Tape& tape, const Pyramid& features, const Tensor& rows) const;

 private:
  ConvTower tower_;
  const Parameter* weight_;
  const Parameter* bias_;
};

}  // namespace tessera
