#include "models/gridmask/inference.h"

namespace tessera {

GridMasks gridmask_masks(Context& context, const GridMaskRequest& request, const ImageGeometry& geometry,
                         const GridMaskConfig& config) {
  GridBinarizeOptions options{.k = config.k,
                              .stride = static_cast<float>(request.stride),
                              .original_height = geometry.original_height,
                              .original_width = geometry.original_width,
                              .resized_height = geometry.resized_height,
                              .resized_width = geometry.resized_width};
  // As if every box were the whole picture: what the boxes need is known on the device only.
  options.capacity = largest_need(request.boxes.extent(0), options);
  return grid_binarize(context, request.pixels, request.objects, request.boxes, request.count, options);
}

}  // namespace tessera
