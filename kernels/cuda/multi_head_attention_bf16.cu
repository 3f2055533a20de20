// The attention kernels on tensor cores in bfloat16.
#include "kernels/cuda/attention_forward_kernel.h"
#include "kernels/cuda/attention_gradient_kernels.h"

namespace tessera {
inline namespace TESSERA_PORT {

template <>
void launch_attend<ConvMath::bf16>(DeviceContext& context, const AttentionTiles& args) {
  launch_attend_of<ConvMath::bf16>(context, args);
}

template <>
void launch_attention_gradients<ConvMath::bf16>(DeviceContext& context, const AttentionTiles& args) {
  launch_gradients_of<ConvMath::bf16>(context, args);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
