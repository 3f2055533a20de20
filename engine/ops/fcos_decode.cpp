#include "engine/ops/fcos_decode.h"

#include "engine/core/dispatch.h"
#include "engine/ops/candidate_args.h"

namespace tessera {

Candidates fcos_decode(Context& context, const TopKSelection& selection, const Tensor& distances,
                       const PyramidGeometry& geometry, const Tensor& clip_sizes, const FcosDecodeOptions& options) {
  const Shape& shape = selection.values.shape();
  TESSERA_CHECK(shape.rank() == 3 && shape[0] == geometry.images() && shape[1] == geometry.level_count(),
                "selection {}", shape.to_string());
  TESSERA_CHECK(distances.shape() == Shape({geometry.rows(), 4}), "distances {} for {} rows",
                distances.shape().to_string(), geometry.rows());
  TESSERA_CHECK(!clip_sizes.defined() || clip_sizes.shape() == Shape({shape[0], 2}), "clip sizes {}",
                clip_sizes.shape().to_string());
  TESSERA_CHECK(
      options.location != LocationRule::torchvision || (options.padded_height > 0 && options.padded_width > 0),
      "the location rule of torchvision needs the padded size");
  const Candidates candidates = Candidates::empty(context, shape[0], shape[1] * shape[2]);
  std::vector<LevelRows> levels;
  for (const PyramidLevel& level : geometry.levels()) {
    levels.push_back({level.row_begin, level.height, level.width, level.stride});
  }
  dispatch(context, [&](auto& backend) {
    FcosDecodeArgs args{};
    args.values = selection.values.data<float>();
    args.rows = selection.rows.data<int32_t>();
    args.classes = selection.classes.data<int32_t>();
    args.counts = selection.counts.data<int32_t>();
    args.distances = distances.data<float>();
    args.clip_sizes = clip_sizes.defined() ? clip_sizes.data<float>() : nullptr;
    args.levels = levels.data();
    args.candidates = candidate_args(candidates);
    args.level_count = shape[1];
    args.k = shape[2];
    args.padded_height = options.padded_height;
    args.padded_width = options.padded_width;
    args.location = options.location;
    args.pixel_distances = options.pixel_distances;
    args.root_score = options.root_score;
    fcos_decode(backend, args);
  });
  return candidates;
}

Candidates rescale_candidates(Context& context, const Candidates& candidates, const Tensor& sizes) {
  TESSERA_CHECK(sizes.shape() == Shape({candidates.images(), 4}), "sizes {}", sizes.shape().to_string());
  const Candidates result = Candidates::empty(context, candidates.images(), candidates.capacity());
  dispatch(context, [&](auto& backend) {
    rescale_candidates(backend, {candidate_args(candidates), candidate_args(result), sizes.data<int32_t>()});
  });
  return result;
}

}  // namespace tessera
