#include "models/gridmask/inference.h"

#include "engine/ops/grid_binarize.h"

namespace tessera {

std::vector<BitMask> gridmask_masks(Context& context, const GridMaskRequest& request, const ImageGeometry& geometry,
                                    const GridMaskConfig& config) {
  const GridMasks packed = grid_binarize(context, request.pixels, request.objects, request.boxes, request.count,
                                         {.k = config.k,
                                          .stride = static_cast<float>(request.stride),
                                          .original_height = geometry.original_height,
                                          .original_width = geometry.original_width,
                                          .resized_height = geometry.resized_height,
                                          .resized_width = geometry.resized_width});
  std::vector<BitMask> masks;
  if (context.backend() == Backend::plan) return masks;
  const int32_t count = request.count.to_host<int32_t>(context).at(0);
  const std::vector<int32_t> rectangles = packed.rectangles.to_host<int32_t>(context);
  const std::vector<int64_t> offsets = packed.offsets.to_host<int64_t>(context);
  const std::vector<uint8_t> bits = packed.bits.to_host<uint8_t>(context);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    BitMask& mask = masks.emplace_back();
    mask.x = rectangles[4 * i];
    mask.y = rectangles[4 * i + 1];
    mask.width = rectangles[4 * i + 2];
    mask.height = rectangles[4 * i + 3];
    const auto begin = bits.begin() + offsets[i];  // masks begin at aligned offsets: behind them is padding
    mask.bits.assign(begin, begin + static_cast<ptrdiff_t>(mask.height) * mask.row_bytes());
  }
  return masks;
}

}  // namespace tessera
