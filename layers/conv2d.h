// Convolution with "same" padding and either a bias or a norm behind it. A norm belongs to its convolution: names are
// conv1.weight, conv1.norm.weight, ... and a convolution in front of a norm has no bias (detectron2's convention).
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "engine/ops/conv2d.h"
#include "layers/batch_norm.h"
#include "layers/frozen_batch_norm.h"
#include "layers/group_norm.h"
#include "layers/module.h"

namespace tessera {

enum class NormKind : uint8_t { none, frozen_bn, bn, gn };

struct NormConfig {
  NormKind kind = NormKind::none;
  int groups = 32;        // of gn
  float epsilon = 1e-5f;  // of frozen_bn and bn

  bool operator==(const NormConfig&) const = default;
};

struct Conv2dConfig {
  int in = 0;
  int out = 0;
  int window = 1;  // odd; the padding is window / 2
  int stride = 1;
  int groups = 1;
  NormConfig norm = {};
  Initializer initializer = Initializer::kaiming_normal();
  Initializer bias = Initializer::zeros();
};

class Conv2d {
 public:
  Conv2d(const ParameterScope& scope, const Conv2dConfig& config);

  // y = relu?( norm(conv(x)) + residual ) on a map [N, H, W, in]; the residual may be undefined. With a frozen batch
  // norm, and with a batch norm on a tape that does not record, all of it is one op.
  Variable forward(Tape& tape, const Variable& x, bool relu = false, const Variable& residual = {}) const;

  // The same weights on all levels. Only for stride 1 without norm of its own.
  Pyramid forward(Tape& tape, const Pyramid& x, bool relu = false) const;
  // relu?( norm(conv(x)) ), likewise: modules with the same windows, channels and groups side by side, as branches of
  // one convolution.
  struct Branch {
    const Conv2d* conv;
    const GroupNorm* norm;
    Pyramid x;
  };
  static std::vector<Pyramid> forward_together(Tape& tape, const std::vector<Branch>& branches, bool relu);

 private:
  Conv2dConfig config_;
  const Parameter* weight_;
  const Parameter* bias_ = nullptr;
  std::variant<std::monostate, FrozenBatchNorm, BatchNorm, GroupNorm> norm_;
};

}  // namespace tessera
