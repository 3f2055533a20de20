// Decode: one thread per place of the result. The levels of an image are packed one after the other, so a thread finds
// its level by running over the counts of the levels (at most a handful). About 60 bytes read and 32 written per place.
// Rescale: one block per image; tiles of 256 candidates are packed in their order by a vote per warp and a sum over the
// warps. A few hundred candidates at most: one launch, nothing waits for the host.
#include "kernels/fcos_decode.h"

#include "kernels/cuda/candidate_list.h"
#include "kernels/cuda/level_table.h"
#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kFcosDecodeThreads = 256, kWarps = kFcosDecodeThreads / 32;

// Into [0, most], as the CPU backend: a NaN stays one.
__device__ __forceinline__ float clipped(float value, float most) {
  value = value < 0.0f ? 0.0f : value;
  return most < value ? most : value;
}

struct Location {
  float x, y;
};

__device__ __forceinline__ Location location_of(const FcosDecodeArgs& args, const LevelRows& level, int64_t cell) {
  const int64_t y = cell / level.width, x = cell % level.width;
  if (args.location == LocationRule::torchvision) {
    return {static_cast<float>(x * (args.padded_width / level.width)),
            static_cast<float>(y * (args.padded_height / level.height))};
  }
  const float stride = static_cast<float>(level.stride), half_stride = 0.5f * stride;
  return {static_cast<float>(x) * stride + half_stride, static_cast<float>(y) * stride + half_stride};
}

__device__ CandidateEntry decode(const FcosDecodeArgs& args, const LevelRows& level, int64_t image, int64_t source) {
  const int32_t row = args.rows[source];
  const float unit = args.pixel_distances ? 1.0f : static_cast<float>(level.stride);
  const Location at = location_of(args, level, row - (level.row_begin + image * level.height * level.width));
  const float* distance = args.distances + 4 * int64_t{row};
  CandidateEntry entry{
      {at.x - distance[0] * unit, at.y - distance[1] * unit, at.x + distance[2] * unit, at.y + distance[3] * unit},
      args.root_score ? sqrtf(args.values[source]) : args.values[source],
      args.classes[source],
      row};
  if (args.clip_sizes != nullptr) {
#pragma unroll
    for (int side = 0; side < 4; ++side) {
      entry.box[side] = clipped(entry.box[side], args.clip_sizes[2 * image + (side % 2 == 0 ? 1 : 0)]);
    }
  }
  return entry;
}

__global__ void __launch_bounds__(kFcosDecodeThreads) decode_kernel(FcosDecodeArgs args, LevelTable levels) {
  for_each_element(args.candidates.images * args.candidates.capacity, [&](int64_t at) {
    const int64_t image = at / args.candidates.capacity, place = at % args.candidates.capacity;
    const int32_t* counts = args.counts + image * args.level_count;
    int64_t before = 0, level = 0;
    while (level < args.level_count && place >= before + counts[level]) before += counts[level++];
    CandidateEntry entry{};
    if (level < args.level_count) {
      entry = decode(args, levels.level[level], image, (image * args.level_count + level) * args.k + place - before);
    }
    write_candidate(args.candidates, at, entry);
    if (place != 0) return;
    for (; level < args.level_count; ++level) before += counts[level];
    args.candidates.counts[image] = static_cast<int32_t>(before);
  });
}

__global__ void __launch_bounds__(kFcosDecodeThreads) rescale_kernel(RescaleCandidatesArgs args) {
  SHARED(kept_by_warp, int32_t[kWarps]);
  const int64_t image = blockIdx.x, capacity = args.source.capacity, begin = image * capacity;
  const int lane = lane_of_warp(), warp = warp_of_block();
  const int32_t* size = args.sizes + 4 * image;
  const float ratio_x = static_cast<float>(static_cast<double>(size[1]) / size[3]);
  const float ratio_y = static_cast<float>(static_cast<double>(size[0]) / size[2]);
  const float width = static_cast<float>(size[1]), height = static_cast<float>(size[0]);
  const int64_t count = args.source.counts[image];
  int64_t used = 0;
  for (int64_t first = 0; first < count; first += kFcosDecodeThreads) {
    const int64_t source = begin + first + threadIdx.x;
    CandidateEntry entry{};
    if (first + threadIdx.x < count) {
      const float* box = args.source.boxes + 4 * source;
      entry = {{clipped(box[0] * ratio_x, width), clipped(box[1] * ratio_y, height), clipped(box[2] * ratio_x, width),
                clipped(box[3] * ratio_y, height)},
               args.source.scores[source],
               args.source.classes[source],
               args.source.rows[source]};
    }
    const bool keep = entry.box[2] > entry.box[0] && entry.box[3] > entry.box[1];
    const unsigned votes = __ballot_sync(kWholeWarp, keep);
    if (lane == 0) kept_by_warp[warp] = __popc(votes);
    __syncthreads();
    int64_t place = used + __popc(votes & ((1u << lane) - 1u));
    for (int other = 0; other < kWarps; ++other) {
      if (other < warp) place += kept_by_warp[other];
      used += kept_by_warp[other];
    }
    if (keep) write_candidate(args.result, begin + place, entry);
    __syncthreads();
  }
  for (int64_t place = used + threadIdx.x; place < capacity; place += kFcosDecodeThreads) {
    write_candidate(args.result, begin + place, CandidateEntry{});
  }
  if (threadIdx.x == 0) args.result.counts[image] = static_cast<int32_t>(used);
}

}  // namespace

void fcos_decode(DeviceContext& context, const FcosDecodeArgs& args) {
  const int64_t places = args.candidates.images * args.candidates.capacity;
  launch(decode_kernel, grid_for(places, kFcosDecodeThreads), kFcosDecodeThreads, 0, context, args,
         LevelTable(args.levels, args.level_count));
}

void rescale_candidates(DeviceContext& context, const RescaleCandidatesArgs& args) {
  launch(rescale_kernel, static_cast<unsigned>(args.source.images), kFcosDecodeThreads, 0, context, args);
}

}  // namespace tessera
