// The convolution kernels on tensor cores in bfloat16.
#include "kernels/cuda/conv2d_gather_kernel.h"
#include "kernels/cuda/conv2d_weight_kernel.h"

namespace tessera {
inline namespace TESSERA_PORT {

template <>
void launch_gather<ConvMath::bf16>(DeviceContext& context, const GatherArgs& args, ConvTile tile, bool chunks,
                                   int64_t row_tiles) {
  launch_gather_of<ConvMath::bf16>(context, args, tile, chunks, row_tiles);
}

template <>
void launch_weight<ConvMath::bf16>(DeviceContext& context, const WeightArgs& args, ConvTile tile, bool chunks) {
  launch_weight_of<ConvMath::bf16>(context, args, tile, chunks);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
