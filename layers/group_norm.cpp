#include "layers/group_norm.h"

namespace tessera {

GroupNorm::GroupNorm(const ParameterScope& scope, int channels, int groups)
    : groups_(groups),
      weight_(&scope.declare("weight", {channels}, ParameterRole::norm_affine, Initializer::ones())),
      bias_(&scope.declare("bias", {channels}, ParameterRole::norm_affine, Initializer::zeros())) {
  TESSERA_CHECK(groups >= 1 && channels % groups == 0, "{} channels in {} groups", channels, groups);
}

}  // namespace tessera
