#include "kernels/fcos_decode.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/candidate_list.h"
#include "kernels/cpu/parallel.h"

namespace tessera {

namespace {

struct Location {
  float x, y;
};

Location location_of(const FcosDecodeArgs& args, const LevelRows& level, int64_t cell) {
  const int64_t y = cell / level.width, x = cell % level.width;
  if (args.location == LocationRule::torchvision) {
    return {static_cast<float>(x * (args.padded_width / level.width)),
            static_cast<float>(y * (args.padded_height / level.height))};
  }
  const float stride = static_cast<float>(level.stride), half = 0.5f * stride;
  return {static_cast<float>(x) * stride + half, static_cast<float>(y) * stride + half};
}

}  // namespace

void fcos_decode(CpuContext& context, const FcosDecodeArgs& args) {
  parallel_chunks(context, args.candidates.images, 1, [&](int64_t image, int64_t, int64_t) {
    CandidateWriter writer(args.candidates, image);
    for (int64_t level_index = 0; level_index < args.level_count; ++level_index) {
      const LevelRows& level = args.levels[level_index];
      const int64_t group = image * args.level_count + level_index;
      const float unit = args.pixel_distances ? 1.0f : static_cast<float>(level.stride);
      const int64_t first_row = level.row_begin + image * level.height * level.width;
      for (int64_t i = group * args.k; i < group * args.k + args.counts[group]; ++i) {
        const Location at = location_of(args, level, args.rows[i] - first_row);
        const float* distance = args.distances + 4 * int64_t{args.rows[i]};
        float box[4] = {at.x - distance[0] * unit, at.y - distance[1] * unit, at.x + distance[2] * unit,
                        at.y + distance[3] * unit};
        if (args.clip_sizes != nullptr) {
          for (int side = 0; side < 4; ++side) {
            box[side] = std::min(std::max(box[side], 0.0f), args.clip_sizes[2 * image + (side % 2 == 0 ? 1 : 0)]);
          }
        }
        writer.add(box, args.root_score ? std::sqrt(args.values[i]) : args.values[i], args.classes[i], args.rows[i]);
      }
    }
    writer.finish();
  });
}

void rescale_candidates(CpuContext& context, const RescaleCandidatesArgs& args) {
  parallel_chunks(context, args.source.images, 1, [&](int64_t image, int64_t, int64_t) {
    const int32_t* size = args.sizes + 4 * image;
    const auto ratio = [](int32_t original, int32_t resized) {
      return static_cast<float>(static_cast<double>(original) / resized);
    };
    const float ratios[2] = {ratio(size[1], size[3]), ratio(size[0], size[2])};
    const float extents[2] = {static_cast<float>(size[1]), static_cast<float>(size[0])};
    CandidateWriter writer(args.result, image);
    for (int64_t i = image * args.source.capacity; i < image * args.source.capacity + args.source.counts[image]; ++i) {
      float box[4];
      for (int side = 0; side < 4; ++side) {
        box[side] = std::min(std::max(args.source.boxes[4 * i + side] * ratios[side % 2], 0.0f), extents[side % 2]);
      }
      if (!(box[2] > box[0] && box[3] > box[1])) continue;
      writer.add(box, args.source.scores[i], args.source.classes[i], args.source.rows[i]);
    }
    writer.finish();
  });
}

}  // namespace tessera
