#include "models/gridmask/loss.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>

#include "engine/core/rng.h"
#include "engine/ops/grid_segmentation_loss.h"
#include "engine/ops/resize.h"

namespace tessera {

namespace {

// Labels of one mask in 1/255, [height, width]; `out` is zero before, and stays so outside the picture.
// Every stride-th pixel of the mask, from stride / 2 on.
void sample_mask(const Bitmap& mask, int stride, int64_t height, int64_t width, uint8_t* out) {
  const int64_t first = stride / 2;
  for (int64_t v = 0; v < height; ++v) {
    const int64_t y = v * stride + first;
    if (y >= mask.height) break;
    const uint8_t* line = mask.pixels.data() + y * mask.width;
    for (int64_t u = 0; u < width && u * stride + first < mask.width; ++u) {
      out[v * width + u] = line[u * stride + first] != 0 ? 255 : 0;
    }
  }
}

// The part of each stride x stride square that the mask covers, rounded to the nearest 1/255.
void measure_coverage(const Bitmap& mask, int stride, int64_t height, int64_t width, uint8_t* out) {
  const int area = stride * stride;
  std::vector<int> covered(static_cast<size_t>(width));
  for (int64_t v = 0; v < height && v * stride < mask.height; ++v) {
    std::fill(covered.begin(), covered.end(), 0);
    const int64_t columns = std::min<int64_t>(mask.width, width * stride);
    for (int64_t y = v * stride; y < std::min<int64_t>((v + 1) * stride, mask.height); ++y) {
      const uint8_t* line = mask.pixels.data() + y * mask.width;
      for (int64_t x = 0; x < columns; ++x) covered[static_cast<size_t>(x / stride)] += line[x] != 0;
    }
    for (int64_t u = 0; u < width; ++u) {
      out[v * width + u] = static_cast<uint8_t>((covered[static_cast<size_t>(u)] * 255 + area / 2) / area);
    }
  }
}

}  // namespace

std::vector<size_t> draw_positives(size_t count, size_t limit, uint64_t seed, uint64_t iteration) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  if (count <= limit) return order;
  Rng rng(seed, RandomPurpose::positives, iteration);
  for (size_t i = 0; i < limit; ++i) {  // the first steps of a Fisher-Yates shuffle
    std::swap(order[i], order[i + rng.below(static_cast<uint32_t>(count - i))]);
  }
  order.resize(limit);
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<size_t> best_positives(const std::vector<MaskCandidate>& candidates, size_t per_image) {
  std::map<int32_t, std::map<int32_t, std::vector<size_t>>> pictures;  // image -> object -> its candidates
  for (size_t i = 0; i < candidates.size(); ++i) pictures[candidates[i].image][candidates[i].object].push_back(i);
  std::vector<size_t> chosen;
  for (auto& [image, objects] : pictures) {
    const size_t per_object = std::max<size_t>(1, per_image / objects.size());
    for (auto& [object, indices] : objects) {
      std::stable_sort(indices.begin(), indices.end(),
                       [&](size_t a, size_t b) { return candidates[a].score > candidates[b].score; });
      indices.resize(std::min(indices.size(), per_object));
      chosen.insert(chosen.end(), indices.begin(), indices.end());
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

Box jitter_box(const Box& box, uint64_t seed, uint64_t iteration, uint64_t sample) {
  Rng rng(seed, RandomPurpose::train_box, iteration, sample);
  const auto move = [&rng](float value, float side) { return value + side * rng.uniform(-0.1f, 0.1f); };
  Box moved;
  moved.x1 = move(box.x1, box.width());
  moved.y1 = move(box.y1, box.height());
  moved.x2 = move(box.x2, box.width());
  moved.y2 = move(box.y2, box.height());
  return moved;
}

Variable gridmask_loss(Tape& tape, const Variable& pixels, int pixel_stride, const Variable& objects,
                       const std::vector<GridSample>& samples, const std::vector<ImageTargets>& images,
                       const GridMaskConfig& config) {
  Context& context = tape.context();
  if (samples.empty()) return Tensor::zeros(context, {1}, DType::f32, "loss");
  const int64_t height = pixels.extent(1) * pixel_stride / config.train_stride;
  const int64_t width = pixels.extent(2) * pixel_stride / config.train_stride;
  Variable sampled = pixels;
  if (config.train_stride != pixel_stride) sampled = resize_bilinear(tape, pixels, height, width);

  const int64_t count = static_cast<int64_t>(samples.size());
  std::vector<float> boxes;
  std::vector<int32_t> image_of, mask_of;
  std::vector<const Bitmap*> masks;
  std::unordered_map<const Bitmap*, int32_t> mask_index;
  for (const GridSample& sample : samples) {
    boxes.insert(boxes.end(), {sample.box.x1, sample.box.y1, sample.box.x2, sample.box.y2});
    image_of.push_back(sample.image);
    const Bitmap* mask =
        &images.at(static_cast<size_t>(sample.image)).objects.at(static_cast<size_t>(sample.object)).mask;
    const auto [found, added] = mask_index.emplace(mask, static_cast<int32_t>(masks.size()));
    if (added) masks.push_back(mask);
    mask_of.push_back(found->second);
  }
  std::vector<uint8_t> labels(masks.size() * static_cast<size_t>(height * width), 0);
  for (size_t i = 0; i < masks.size(); ++i) {
    const auto label = config.train_mask == TrainMask::coverage ? measure_coverage : sample_mask;
    label(*masks[i], config.train_stride, height, width, labels.data() + i * static_cast<size_t>(height * width));
  }

  GridSegmentationTargets targets;
  targets.boxes = Tensor::from_host<float>(context, {count, 4}, boxes, "targets");
  targets.image_of = Tensor::from_host<int32_t>(context, {count}, image_of, "targets");
  targets.mask_of = Tensor::from_host<int32_t>(context, {count}, mask_of, "targets");
  targets.masks =
      Tensor::from_host<uint8_t>(context, {static_cast<int64_t>(masks.size()), height, width}, labels, "targets");
  return grid_segmentation_loss(tape, sampled, objects, targets,
                                {.k = config.k,
                                 .alpha = config.alpha,
                                 .stride = static_cast<float>(config.train_stride),
                                 .literal_cell_norm = config.empty_cell_norm == EmptyCellNorm::literal,
                                 .normalizer = static_cast<float>(count)});
}

}  // namespace tessera
