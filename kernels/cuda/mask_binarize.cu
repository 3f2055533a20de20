// A block of 256 threads owns a chunk of 4096 pixels of one mask: a warp votes on 32 neighbouring pixels and so makes
// half a word. Sums of a thread's sixteen probabilities in float, the rest in double; a second kernel adds the chunks
// of a mask in order. 4 bytes per logit read, 1/8 written, one exponential and one division: bandwidth is the limit.
#include "kernels/mask_binarize.h"

#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kMaskBinarizeThreads = 256;
constexpr int64_t kChunk = 4096;
constexpr int kTotalThreads = 64;

struct Part {
  double sum;
  int64_t area;
};

// Words of 64 bits, as their halves lie in memory: pixel i is bit i % 32 of half i / 32.
__global__ void __launch_bounds__(kMaskBinarizeThreads)
    binarize_chunks(MaskBinarizeArgs args, int64_t chunks, Part* parts) {
  const int64_t mask = blockIdx.x / chunks, begin = blockIdx.x % chunks * kChunk;
  const int64_t padded = ceil_div<int64_t>(args.pixels, 64) * 64, end = min(begin + kChunk, padded);
  const float* logits = args.logits + mask * args.pixels;
  uint32_t* halves = reinterpret_cast<uint32_t*>(args.words) + mask * (padded / 32);
  float sum = 0.0f;
  int area = 0;
  for (int64_t first = begin + warp_of_block() * 32; first < end;
       first += kMaskBinarizeThreads) {  // the same for a warp
    const int64_t pixel = first + lane_of_warp();
    const float p = pixel < args.pixels ? 1.0f / (1.0f + expf(-logits[pixel])) : 0.0f;
    const bool set = pixel < args.pixels && p > args.threshold;
    sum += set ? p : 0.0f;
    const uint32_t half = __ballot_sync(kWholeWarp, set);
    area += set ? 1 : 0;
    if (lane_of_warp() == 0) halves[first / 32] = half;
  }
  const double sum_of_block = block_sum(static_cast<double>(sum));
  const int area_of_block = block_sum(area);
  if (threadIdx.x == 0) parts[blockIdx.x] = {sum_of_block, area_of_block};
}

__global__ void __launch_bounds__(kTotalThreads) add_chunks(MaskBinarizeArgs args, int64_t chunks, const Part* parts) {
  for_each_element(args.count, [&](int64_t mask) {
    double sum = 0.0;
    int64_t area = 0;
    for (int64_t i = mask * chunks; i < (mask + 1) * chunks; ++i) {
      sum += parts[i].sum;
      area += parts[i].area;
    }
    args.areas[mask] = static_cast<int32_t>(area);
    args.maskness[mask] = area > 0 ? static_cast<float>(sum / static_cast<double>(area)) : 0.0f;
  });
}

}  // namespace

void mask_binarize(DeviceContext& context, const MaskBinarizeArgs& args) {
  const int64_t chunks = ceil_div(args.pixels, kChunk), blocks = args.count * chunks;
  Scratch<Part> parts(context, static_cast<size_t>(blocks));
  launch(binarize_chunks, static_cast<unsigned>(blocks), kMaskBinarizeThreads, 0, context, args, chunks, parts.data());
  launch(add_chunks, grid_for(args.count, kTotalThreads), kTotalThreads, 0, context, args, chunks, parts.data());
}

}  // namespace tessera
