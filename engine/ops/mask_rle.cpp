#include "engine/ops/mask_rle.h"

#include "engine/core/dispatch.h"
#include "kernels/mask_rle.h"

namespace tessera {

MaskRuns mask_rle(Context& context, const Tensor& bits, int64_t width, int64_t capacity) {
  TESSERA_CHECK(bits.shape().rank() == 3 && width >= 0 && bits.extent(2) == (width + 7) / 8, "bits {} of width {}",
                bits.shape().to_string(), width);
  const int64_t count = bits.extent(0), height = bits.extent(1);
  TESSERA_CHECK(capacity >= 0 && height * width < int64_t{1} << 31, "{} runs of {}x{}", capacity, height, width);
  MaskRuns result;
  result.runs = Tensor::empty(context, {count, capacity}, DType::i32, "mask_rle");
  result.counts = Tensor::empty(context, {count}, DType::i32, "mask_rle");
  dispatch(context, [&](auto& backend) {
    mask_rle(backend, MaskRleArgs{bits.data<uint8_t>(), result.runs.data<int32_t>(), result.counts.data<int32_t>(),
                                  count, height, width, capacity});
  });
  return result;
}

}  // namespace tessera
