#include "engine/ops/group_norm.h"

namespace tessera {

Variable group_norm(Tape& tape, const Variable& x, const Variable& weight, const Variable& bias,
                    const GroupNormOptions& options, const NormalisedSource& source) {
  TESSERA_CHECK(x.shape().rank() == 4, "map of shape {}", x.shape().to_string());
  const int64_t cells = x.extent(1) * x.extent(2);
  std::vector<RowRange> segments;
  for (int64_t image = 0; image < x.extent(0); ++image) segments.push_back({image * cells, cells});
  return normalise_rows(tape, "group_norm", x, weight, bias, segments, {options.groups, options.epsilon, options.relu},
                        source)
      .y;
}

Pyramid group_norm(Tape& tape, const Pyramid& x, const Variable& weight, const Variable& bias,
                   const GroupNormOptions& options, const NormalisedSource& source) {
  std::vector<RowRange> segments;
  for (const PyramidLevel& level : x.geometry.levels()) {
    for (int64_t image = 0; image < x.geometry.images(); ++image) {
      segments.push_back({level.row_begin + image * level.cells(), level.cells()});
    }
  }
  return {normalise_rows(tape, "group_norm", x.rows, weight, bias, segments,
                         {options.groups, options.epsilon, options.relu}, source)
              .y,
          x.geometry};
}

}  // namespace tessera
