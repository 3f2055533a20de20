// The attention kernels on tensor cores in half: forward alone, gradients run in TF32 (multi_head_attention.cu).
#include "kernels/cuda/attention_forward_kernel.h"

namespace tessera {
inline namespace TESSERA_PORT {

template <>
void launch_attend<ConvMath::fp16>(DeviceContext& context, const AttentionTiles& args) {
  launch_attend_of<ConvMath::fp16>(context, args);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
