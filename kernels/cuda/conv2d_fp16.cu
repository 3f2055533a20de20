// The convolution kernels on tensor cores in half precision; forward and data gradient also with sums of 32 products in
// half.
#include "kernels/cuda/conv2d_gather_kernel.h"
#include "kernels/cuda/conv2d_weight_kernel.h"

namespace tessera {
inline namespace TESSERA_PORT {

template <>
void launch_gather<ConvMath::fp16>(DeviceContext& context, const GatherArgs& args, ConvTile tile, bool chunks,
                                   int64_t row_tiles) {
  launch_gather_of<ConvMath::fp16>(context, args, tile, chunks, row_tiles);
}

template <>
void launch_gather<ConvMath::fp16_accumulate_chunked>(DeviceContext& context, const GatherArgs& args, ConvTile tile,
                                                      bool chunks, int64_t row_tiles) {
  launch_gather_of<ConvMath::fp16_accumulate_chunked>(context, args, tile, chunks, row_tiles);
}

template <>
void launch_weight<ConvMath::fp16>(DeviceContext& context, const WeightArgs& args, ConvTile tile, bool chunks) {
  launch_weight_of<ConvMath::fp16>(context, args, tile, chunks);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
