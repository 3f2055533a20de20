#include "kernels/not_yet.h"

#include "kernels/adamw.h"
#include "kernels/add.h"
#include "kernels/axial_attention.h"
#include "kernels/batch_norm.h"
#include "kernels/binary_cross_entropy.h"
#include "kernels/channel_affine.h"
#include "kernels/channel_attention.h"
#include "kernels/concat.h"
#include "kernels/conv2d.h"
#include "kernels/dice_loss.h"
#include "kernels/dynamic_conv.h"
#include "kernels/fcos_decode.h"
#include "kernels/finite_check.h"
#include "kernels/focal_loss.h"
#include "kernels/frozen_batch_norm.h"
#include "kernels/gated_sum.h"
#include "kernels/gelu.h"
#include "kernels/grid_binarize.h"
#include "kernels/grid_segmentation_loss.h"
#include "kernels/iou_loss.h"
#include "kernels/layer_norm.h"
#include "kernels/leaky_relu.h"
#include "kernels/loss_gradient.h"
#include "kernels/mask_binarize.h"
#include "kernels/mask_binary_cross_entropy.h"
#include "kernels/mask_enlarge.h"
#include "kernels/mask_nms.h"
#include "kernels/max_pool.h"
#include "kernels/nms.h"
#include "kernels/patch_gather.h"
#include "kernels/point_nms.h"
#include "kernels/position_add.h"
#include "kernels/resize.h"
#include "kernels/row_gather.h"
#include "kernels/scale.h"
#include "kernels/scale_levels.h"
#include "kernels/select_top_k.h"
#include "kernels/sgd.h"
#include "kernels/sigmoid.h"
#include "kernels/softmax_cross_entropy.h"
#include "kernels/spatial_attention.h"
#include "kernels/sum_of_squares.h"

namespace tessera {

#define NOT_YET(name, Args) \
  void name(EmulatedContext&, const Args&) { throw KernelNotYet(#name); }
#include "kernels/not_yet.inc"
#undef NOT_YET

#if TESSERA_CUDA
#define NOT_YET(name, Args) \
  void name(CudaContext&, const Args&) { throw KernelNotYet(#name); }
#include "kernels/not_yet.inc"
#undef NOT_YET
#endif

std::vector<const char*> kernels_not_yet_on_devices() {
  return {
#define NOT_YET(name, Args) #name,
#include "kernels/not_yet.inc"
#undef NOT_YET
  };
}

}  // namespace tessera
