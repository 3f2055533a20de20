// The attention kernels on tensor cores in TF32.
#include "kernels/cuda/attention_forward_kernel.h"
#include "kernels/cuda/attention_gradient_kernels.h"

namespace tessera {
inline namespace TESSERA_PORT {

template <>
void launch_attend<ConvMath::tf32>(DeviceContext& context, const AttentionTiles& args) {
  launch_attend_of<ConvMath::tf32>(context, args);
}

template <>
void launch_attention_gradients<ConvMath::tf32>(DeviceContext& context, const AttentionTiles& args) {
  launch_gradients_of<ConvMath::tf32>(context, args);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
