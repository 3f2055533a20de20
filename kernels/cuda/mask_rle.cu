// One thread per column of a mask, neighbours in neighbouring columns, so a warp reads four bytes of a row together and
// the cache has the next warp's. A run ends where a pixel differs from the one before it in its column, or from the
// last of the column before:
//   1. every column counts its ends    2. one block per mask adds up the columns    3. every column writes its ends at
//   the places it was given            4. ends become lengths, and what is left of the capacity becomes 0
// The bits are read twice, H * W / 4 bytes in all, and capacity * 12 bytes moved: the latency of a walk down a column
// is the limit, about H loads that do not wait for one another.
#include "kernels/mask_rle.h"

#include "kernels/cuda/warp.h"

namespace tessera {

namespace {

constexpr int kMaskRleThreads = 128, kScanThreads = 256;

// Calls body(place) at every pixel of column x that differs from its predecessor.
template <typename Body>
__device__ __forceinline__ void for_each_change(const MaskRleArgs& args, int64_t mask, int64_t x, Body&& body) {
  const int64_t row_bytes = ceil_div<int64_t>(args.width, 8);
  const uint8_t* bits = args.bits + mask * args.height * row_bytes;
  const auto bit = [&](int64_t column, int64_t y) { return bits[y * row_bytes + column / 8] >> (column % 8) & 1; };
  int before = x > 0 && args.height > 0 ? bit(x - 1, args.height - 1) : 0;
#pragma unroll 8
  for (int64_t y = 0; y < args.height; ++y) {
    const int value = bit(x, y);
    if (value != before) body(x * args.height + y);
    before = value;
  }
}

// Block (columns, mask).
__global__ void __launch_bounds__(kMaskRleThreads) count_changes(MaskRleArgs args, int32_t* changes) {
  const int64_t x = int64_t{blockIdx.x} * kMaskRleThreads + threadIdx.x, mask = blockIdx.y;
  if (x >= args.width) return;
  int32_t count = 0;
  for_each_change(args, mask, x, [&](int64_t) { ++count; });
  changes[mask * args.width + x] = count;
}

// Sum of the values of the threads before this one; `total` of all. A barrier, like block_sum.
__device__ int32_t sum_before(int32_t value, int32_t& total) {
  SHARED(of_warps, int32_t[kScanThreads / 32]);
  int32_t sum = value;
  for (int distance = 1; distance < 32; distance *= 2) {
    const int32_t other = __shfl_up_sync(kWholeWarp, sum, static_cast<unsigned>(distance));
    if (lane_of_warp() >= distance) sum += other;
  }
  __syncthreads();
  if (lane_of_warp() == 31) of_warps[warp_of_block()] = sum;
  __syncthreads();
  total = 0;
  int32_t before = sum - value;
  for (int warp = 0; warp < kScanThreads / 32; ++warp) {
    before += warp < warp_of_block() ? of_warps[warp] : 0;
    total += of_warps[warp];
  }
  return before;
}

// Block: a mask. Counts of columns become the number of changes in front of them.
__global__ void __launch_bounds__(kScanThreads) place_columns(MaskRleArgs args, int32_t* changes) {
  int32_t* of_mask = changes + int64_t{blockIdx.x} * args.width;
  int32_t front = 0;
  for (int64_t begin = 0; begin < args.width; begin += kScanThreads) {
    const int64_t x = begin + threadIdx.x;
    int32_t total;
    const int32_t before = sum_before(x < args.width ? of_mask[x] : 0, total);
    if (x < args.width) of_mask[x] = front + before;
    front += total;
  }
  if (threadIdx.x == 0) args.run_counts[blockIdx.x] = args.height * args.width > 0 ? front + 1 : 0;
}

__global__ void __launch_bounds__(kMaskRleThreads) write_ends(MaskRleArgs args, const int32_t* front, int32_t* ends) {
  const int64_t x = int64_t{blockIdx.x} * kMaskRleThreads + threadIdx.x, mask = blockIdx.y;
  if (x >= args.width) return;
  int64_t at = front[mask * args.width + x];
  for_each_change(args, mask, x, [&](int64_t place) {
    if (at < args.capacity) ends[mask * args.capacity + at] = static_cast<int32_t>(place);
    ++at;
  });
}

__global__ void __launch_bounds__(kMaskRleThreads) write_lengths(MaskRleArgs args, const int32_t* ends) {
  for_each_element(args.count * args.capacity, [&](int64_t i) {
    const int64_t mask = i / args.capacity, at = i - mask * args.capacity, count = args.run_counts[mask];
    if (at >= count) {
      args.runs[i] = 0;
      return;
    }
    const int32_t end = at == count - 1 ? static_cast<int32_t>(args.height * args.width) : ends[i];
    args.runs[i] = end - (at > 0 ? ends[i - 1] : 0);
  });
}

}  // namespace

void mask_rle(DeviceContext& context, const MaskRleArgs& args) {
  Scratch<int32_t> changes(context, static_cast<size_t>(args.count * args.width));
  Scratch<int32_t> ends(context, static_cast<size_t>(args.count * args.capacity));
  const dim3 columns(static_cast<unsigned>(ceil_div<int64_t>(args.width, kMaskRleThreads)),
                     static_cast<unsigned>(args.count));
  launch(count_changes, columns, kMaskRleThreads, 0, context, args, changes.data());
  launch(place_columns, static_cast<unsigned>(args.count), kScanThreads, 0, context, args, changes.data());
  launch(write_ends, columns, kMaskRleThreads, 0, context, args, changes.data(), ends.data());
  launch(write_lengths, grid_for(args.count * args.capacity, kMaskRleThreads), kMaskRleThreads, 0, context, args,
         ends.data());
}

}  // namespace tessera
