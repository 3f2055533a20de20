#include "apps/op_checks.h"

#include <algorithm>

#include "apps/bench_shapes.h"
#include "engine/core/rng.h"
#include "engine/ops/add.h"
#include "engine/ops/axial_attention.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/binary_cross_entropy.h"
#include "engine/ops/channel_affine.h"
#include "engine/ops/channel_attention.h"
#include "engine/ops/concat.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/conv2d_group_norm.h"
#include "engine/ops/dice_loss.h"
#include "engine/ops/dynamic_conv.h"
#include "engine/ops/fcos_decode.h"
#include "engine/ops/focal_loss.h"
#include "engine/ops/frozen_batch_norm.h"
#include "engine/ops/gated_sum.h"
#include "engine/ops/gelu.h"
#include "engine/ops/grid_binarize.h"
#include "engine/ops/grid_segmentation_loss.h"
#include "engine/ops/group_norm.h"
#include "engine/ops/iou_loss.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/leaky_relu.h"
#include "engine/ops/linear.h"
#include "engine/ops/mask_binarize.h"
#include "engine/ops/mask_binary_cross_entropy.h"
#include "engine/ops/mask_candidates.h"
#include "engine/ops/mask_enlarge.h"
#include "engine/ops/mask_nms.h"
#include "engine/ops/mask_rle.h"
#include "engine/ops/max_pool.h"
#include "engine/ops/multi_head_attention.h"
#include "engine/ops/nms.h"
#include "engine/ops/patch_gather.h"
#include "engine/ops/point_nms.h"
#include "engine/ops/position_add.h"
#include "engine/ops/pyramid.h"
#include "engine/ops/relu.h"
#include "engine/ops/reshape.h"
#include "engine/ops/resize.h"
#include "engine/ops/roi_align.h"
#include "engine/ops/row_gather.h"
#include "engine/ops/scale.h"
#include "engine/ops/scale_levels.h"
#include "engine/ops/select_top_k.h"
#include "engine/ops/sigmoid.h"
#include "engine/ops/softmax_cross_entropy.h"
#include "engine/ops/spatial_attention.h"

namespace tessera {

namespace {

using Inputs = std::vector<Variable>;
using Op = std::function<Variable(Tape&, const Inputs&)>;

std::vector<float> random_values(int64_t count, uint64_t sample, float mean = 0.0f) {
  std::vector<float> values(static_cast<size_t>(count));
  Rng rng(1, RandomPurpose::test, 300, sample);
  for (float& value : values) value = mean + rng.normal();
  return values;
}

Tensor random_tensor(Context& context, const Shape& shape, uint64_t sample, float mean = 0.0f) {
  return Tensor::from_host<float>(context, shape, random_values(shape.elements(), sample, mean));
}

// Non-negative, below `limit`.
std::vector<int32_t> random_integers(int64_t count, uint32_t limit, uint64_t sample) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  Rng rng(1, RandomPurpose::test, 301, sample);
  for (int32_t& value : values) value = static_cast<int32_t>(rng.below(limit));
  return values;
}

Tensor integers(Context& context, int64_t count, uint32_t limit, uint64_t sample) {
  return Tensor::from_host<int32_t>(context, {count}, random_integers(count, limit, sample));
}

// Words of 32 random bits, as targets of mask losses.
Tensor random_words(Context& context, int64_t masks, int64_t words) {
  std::vector<int32_t> values(static_cast<size_t>(masks * words));
  Rng rng(1, RandomPurpose::test, 302, 0);
  for (int32_t& value : values) value = static_cast<int32_t>(rng.below(1u << 31));
  return Tensor::from_host<int32_t>(context, {masks, words}, values);
}

template <typename T>
CheckedTensor exact(Context& context, const char* name, const Tensor& tensor) {
  const std::vector<T> values = tensor.to_host<T>(context);
  CheckedTensor result{name, {}, true};
  for (const T value : values) {  // in pieces that a float holds
    for (size_t byte = 0; byte < sizeof(T); ++byte) {
      result.values.push_back(static_cast<float>(static_cast<uint64_t>(value) >> (8 * byte) & 255u));
    }
  }
  return result;
}

CheckedTensor rounded(Context& context, const char* name, const Tensor& tensor) {
  return {name, tensor.to_host<float>(context), false};
}

// The output, and the gradients of all inputs under a random cotangent.
OpCheck differentiable(std::string name, double terms, const std::vector<Shape>& shapes, const Op& op,
                       float mean = 0.0f) {
  return {std::move(name), terms, [=](Context& context) {
            Tape tape(context);
            Inputs inputs;
            for (const Shape& shape : shapes) {
              inputs.push_back(tape.input(random_tensor(context, shape, inputs.size(), mean)));
            }
            const Variable y = op(tape, inputs);
            std::vector<CheckedTensor> results = {rounded(context, "y", y.value)};
            tape.backward(y, random_tensor(context, y.shape(), 99));
            for (size_t i = 0; i < inputs.size(); ++i) {
              const Tensor gradient = tape.gradient(inputs[i]);
              if (!gradient.defined()) continue;
              results.push_back(rounded(context, "", gradient));
              results.back().name = fmt::format("d input {}", i);
            }
            return results;
          }};
}

void add_convolutions(std::vector<OpCheck>& checks) {
  for (BenchShape shape : kBenchShapes) {
    // Channels, window, stride and groups decide which kernel runs; the map only how long.
    shape.images = std::min<int64_t>(shape.images, 2);
    shape.height = std::min<int64_t>(shape.height, 5 * shape.stride);
    shape.width = std::min<int64_t>(shape.width, 7 * shape.stride);
    const int64_t depth = shape.window * shape.window * shape.in / shape.groups;
    const int64_t back = shape.window * shape.window * shape.out / shape.groups;
    const int64_t pixels = shape.images * shape.height * shape.width;
    checks.push_back(differentiable("conv2d " + describe(shape), static_cast<double>(std::max({depth, back, pixels})),
                                    {{shape.images, shape.height, shape.width, shape.in},
                                     {shape.out, shape.window, shape.window, shape.in / shape.groups},
                                     {shape.out}},
                                    [shape](Tape& tape, const Inputs& in) {
                                      return conv2d(tape, {in[0], in[1], in[2], {}, {}, {}},
                                                    {.stride = static_cast<int>(shape.stride),
                                                     .padding = static_cast<int>(shape.window / 2),
                                                     .groups = static_cast<int>(shape.groups)});
                                    }));
  }
}

Pyramid small_pyramid(const Variable& rows) {
  PyramidGeometry geometry(2);
  geometry.add_level(6, 9, 8);
  geometry.add_level(3, 5, 16);
  return {rows, geometry};
}
constexpr int64_t kPyramidRows = 2 * (6 * 9 + 3 * 5);

void add_layers(std::vector<OpCheck>& checks) {
  const auto add_check = [&](const char* name, double terms, const std::vector<Shape>& shapes, const Op& op,
                             float mean = 0.0f) { checks.push_back(differentiable(name, terms, shapes, op, mean)); };
  add_check("linear", 70, {{50, 70}, {33, 70}, {33}},
            [](Tape& tape, const Inputs& in) { return linear(tape, in[0], in[1], in[2]); });
  add_check("axial_attention columns", 64, {{2, 19, 5, 64}, {2, 19, 5, 128}},
            [](Tape& tape, const Inputs& in) { return axial_attention(tape, in[0], in[1], 4, AttentionAxis::column); });
  add_check("axial_attention rows", 64, {{1, 3, 37, 32}, {1, 3, 37, 64}},
            [](Tape& tape, const Inputs& in) { return axial_attention(tape, in[0], in[1], 2, AttentionAxis::row); });
  add_check("multi_head_attention", 131, {{2, 70, 64}, {2, 131, 64}, {2, 131, 64}},
            [](Tape& tape, const Inputs& in) { return multi_head_attention(tape, in[0], in[1], in[2], 2); });
  add_check("dynamic_conv", 117, {{2, 9, 13, 20}, {7, 20}}, [](Tape& tape, const Inputs& in) {
    const std::vector<int64_t> first = {0, 3, 7};
    return dynamic_conv(tape, in[0], in[1], first);
  });
  add_check("group_norm", 300, {{2, 9, 11, 48}, {48}, {48}},
            [](Tape& tape, const Inputs& in) { return group_norm(tape, in[0], in[1], in[2], {.groups = 16}); });
  add_check("conv2d_group_norm", 320, {{2, 9, 11, 32}, {48, 3, 3, 32}, {48}, {48}, {48}},
            [](Tape& tape, const Inputs& in) {
              return conv2d_group_norm(tape, {in[0], in[1], in[2], {}, {}, {}}, {.padding = 1}, {in[3], in[4]},
                                       {.groups = 16})
                  .y;
            });
  add_check("batch_norm", 198, {{2, 9, 11, 37}, {37}, {37}}, [](Tape& tape, const Inputs& in) {
    const Tensor mean = Tensor::zeros(tape.context(), {37}), variance = Tensor::zeros(tape.context(), {37});
    return batch_norm(tape, in[0], in[1], in[2], mean, variance);
  });
  add_check("layer_norm", 130, {{51, 130}, {130}, {130}},
            [](Tape& tape, const Inputs& in) { return layer_norm(tape, in[0], in[1], in[2]); });
  add_check("channel_affine", 1, {{2, 5, 7, 36}}, [](Tape& tape, const Inputs& in) {
    return channel_affine(tape, in[0], random_tensor(tape.context(), {36}, 7), random_tensor(tape.context(), {36}, 8),
                          true);
  });
  add_check("frozen_batch_norm", 1, {{2, 5, 7, 36}}, [](Tape& tape, const Inputs& in) {
    Context& context = tape.context();
    const Tensor variance = sigmoid(tape, random_tensor(context, {36}, 12)).value;
    const AffineTensors affine =
        frozen_batch_norm_affine(context, random_tensor(context, {36}, 9), random_tensor(context, {36}, 10),
                                 random_tensor(context, {36}, 11), variance, 1e-5f);
    return channel_affine(tape, in[0], affine.scale, affine.shift);
  });
  add_check("max_pool", 9, {{2, 9, 11, 20}}, [](Tape& tape, const Inputs& in) { return max_pool(tape, in[0]); });
  add_check("roi_align", 200, {{2, 13, 17, 20}}, [](Tape& tape, const Inputs& in) {
    const std::vector<float> boxes = {1, 2, 40, 33, -9, 5, 20, 21, 30, 30, 31, 32, 3, 0, 66, 50};
    const std::vector<int32_t> image_of = {0, 1, 1, 0};
    return roi_align(tape, in[0], Tensor::from_host<float>(tape.context(), {4, 4}, boxes),
                     Tensor::from_host<int32_t>(tape.context(), {4}, image_of), {.scale = 0.25f});
  });
  add_check("resize_bilinear", 16, {{2, 6, 9, 12}},
            [](Tape& tape, const Inputs& in) { return resize_bilinear(tape, in[0], 13, 31); });
  add_check("resize_nearest", 8, {{2, 6, 9, 12}},
            [](Tape& tape, const Inputs& in) { return resize_nearest(tape, in[0], 12, 19); });
  add_check("resize_nearest_add", 8, {{2, 3, 5, 12}, {2, 6, 9, 12}},
            [](Tape& tape, const Inputs& in) { return resize_nearest_add(tape, in[0], in[1]); });
  add_check("concat_channels", 1, {{2, 3, 4, 5}, {2, 3, 4, 8}}, [](Tape& tape, const Inputs& in) {
    return concat_channels(tape, {in[0], in[1]});
  });
  add_check("reshape", 1, {{2, 3, 4, 5}}, [](Tape& tape, const Inputs& in) {
    return scale(tape, reshape(tape, scale(tape, in[0], 3), {6, 20}), 0.5f);
  });
  add_check("stack_pyramid, pyramid_levels", 2, {{2, 6, 9, 12}, {2, 3, 5, 12}}, [](Tape& tape, const Inputs& in) {
    const std::vector<Variable> levels = pyramid_levels(tape, stack_pyramid(tape, {in[0], in[1]}, {8, 16}));
    return stack_pyramid(tape, {levels[0], scale(tape, levels[1], 2)}, {8, 16}).rows;
  });
  add_check("row_gather", 8, {{40, 21}},
            [](Tape& tape, const Inputs& in) { return row_gather(tape, in[0], integers(tape.context(), 90, 40, 1)); });
  add_check("patch_gather", 9, {{kPyramidRows, 12}}, [](Tape& tape, const Inputs& in) {
    return patch_gather(tape, small_pyramid(in[0]), integers(tape.context(), 50, kPyramidRows, 2));
  });
  add_check("scale_levels", kPyramidRows * 4, {{kPyramidRows, 4}, {1}, {1}}, [](Tape& tape, const Inputs& in) {
    return scale_levels(tape, small_pyramid(in[0]), {in[1], in[2]}, ScaleActivation::exp).rows;
  });
  add_check("channel_pool", 300, {{2, 15, 20, 37}},
            [](Tape& tape, const Inputs& in) { return channel_pool(tape, in[0]); });
  add_check("channel_gate", 300, {{2, 15, 20, 37}, {4, 37}},
            [](Tape& tape, const Inputs& in) { return channel_gate(tape, in[0], in[1]); });
  add_check("spatial_pool", 70, {{2, 5, 7, 70}},
            [](Tape& tape, const Inputs& in) { return spatial_pool(tape, in[0]); });
  add_check("spatial_gate", 70, {{2, 5, 7, 70}, {2, 5, 7, 1}},
            [](Tape& tape, const Inputs& in) { return spatial_gate(tape, in[0], in[1]); });
  add_check("add", 1, {{1001}, {1001}}, [](Tape& tape, const Inputs& in) { return add(tape, in[0], in[1]); });
  add_check("relu", 1, {{1001}}, [](Tape& tape, const Inputs& in) { return relu(tape, in[0]); });
  add_check("leaky_relu", 1, {{1001}}, [](Tape& tape, const Inputs& in) { return leaky_relu(tape, in[0]); });
  add_check("gelu", 1, {{1001}}, [](Tape& tape, const Inputs& in) { return gelu(tape, in[0]); });
  add_check("sigmoid", 1, {{1001}}, [](Tape& tape, const Inputs& in) { return sigmoid(tape, in[0]); });
  add_check("scale", 1, {{1001}}, [](Tape& tape, const Inputs& in) { return scale(tape, in[0], 0.37f); });
  add_check("gated_sum", 1001, {{1001}, {1}, {1001}}, [](Tape& tape, const Inputs& in) {
    return gated_sum(tape, in[0], {{in[1], in[2]}});
  });
  add_check("position_add", 20, {{2, 5, 9, 12}, {5, 12}, {9, 12}},
            [](Tape& tape, const Inputs& in) { return position_add(tape, in[0], in[1], in[2]); });
}

void add_losses(std::vector<OpCheck>& checks) {
  const auto add_check = [&](const char* name, double terms, const std::vector<Shape>& shapes, const Op& op,
                             float mean = 0.0f) { checks.push_back(differentiable(name, terms, shapes, op, mean)); };
  add_check("sigmoid_focal_loss", 2500, {{50, 50}}, [](Tape& tape, const Inputs& in) {
    return sigmoid_focal_loss(tape, in[0], integers(tape.context(), 50, 50, 3), {});
  });
  add_check("softmax_cross_entropy", 81, {{33, 81}}, [](Tape& tape, const Inputs& in) {
    return softmax_cross_entropy(tape, in[0], integers(tape.context(), 33, 81, 4), 33);
  });
  for (const auto& [name, kind] : {std::pair{"iou_loss", IouLossKind::iou},
                                   {"iou_loss, linear", IouLossKind::linear_iou},
                                   {"iou_loss, generalised", IouLossKind::giou}}) {
    add_check(name, 77, {{77, 4}}, [kind = kind](Tape& tape, const Inputs& in) {
      return iou_loss(tape, sigmoid(tape, in[0]), sigmoid(tape, random_tensor(tape.context(), {77, 4}, 5)).value,
                      sigmoid(tape, random_tensor(tape.context(), {77}, 6)).value, {.kind = kind});
    });
  }
  add_check("binary_cross_entropy", 1001, {{1001}}, [](Tape& tape, const Inputs& in) {
    const Tensor targets = sigmoid(tape, random_tensor(tape.context(), {1001}, 7)).value;
    return binary_cross_entropy_with_logits(tape, in[0], targets, 1001);
  });
  add_check("dice_loss", 4500, {{3, 75, 60}}, [](Tape& tape, const Inputs& in) {
    return dice_loss(tape, in[0], random_words(tape.context(), 2, 141), integers(tape.context(), 3, 2, 8));
  });
  add_check("mask_binary_cross_entropy", 4500, {{3, 75, 60}}, [](Tape& tape, const Inputs& in) {
    return mask_binary_cross_entropy(tape, in[0], random_words(tape.context(), 2, 141),
                                     integers(tape.context(), 3, 2, 9));
  });
  add_check("grid_segmentation_loss", 600, {{2, 16, 20, 8}, {3, 144}}, [](Tape& tape, const Inputs& in) {
    Context& context = tape.context();
    std::vector<uint8_t> masks;
    for (const int32_t value : random_integers(2 * 16 * 20, 256, 10)) masks.push_back(static_cast<uint8_t>(value));
    const GridSegmentationTargets targets{
        Tensor::from_host<float>(context, {3, 4}, std::vector<float>{8, 5, 90, 70, 3, 3, 50, 40, 60, 60, 155, 120}),
        Tensor::from_host<int32_t>(context, {3}, std::vector<int32_t>{0, 1, 1}),
        Tensor::from_host<int32_t>(context, {3}, std::vector<int32_t>{0, 1, 1}),
        Tensor::from_host<uint8_t>(context, {2, 16, 20}, masks)};
    return grid_segmentation_loss(tape, in[0], in[1], targets, {.normalizer = 3});
  });
}

std::vector<CheckedTensor> check_detection(Context& context) {
  const PyramidGeometry geometry = small_pyramid({}).geometry;
  const TopKSelection best = select_top_k(context, random_tensor(context, {kPyramidRows, 5}, 1, -1),
                                          random_tensor(context, {kPyramidRows, 1}, 2), geometry, {.k = 40});
  Tape tape(context, Tape::Mode::forward);
  const Tensor distances = scale(tape, sigmoid(tape, random_tensor(context, {kPyramidRows, 4}, 3)), 3).value;
  const std::vector<float> sizes = {48, 72, 40, 70};
  const Candidates found =
      fcos_decode(context, best, distances, geometry, Tensor::from_host<float>(context, {2, 2}, sizes), {});
  const Candidates kept = nms(context, found, {.capacity = 30});
  return {exact<int32_t>(context, "rows", best.rows),      exact<int32_t>(context, "classes", best.classes),
          exact<int32_t>(context, "counts", best.counts),  rounded(context, "values", best.values),
          rounded(context, "boxes", found.boxes),          rounded(context, "scores", found.scores),
          exact<int32_t>(context, "kept rows", kept.rows), exact<int32_t>(context, "kept", kept.counts)};
}

std::vector<CheckedTensor> check_masks(Context& context) {
  constexpr int64_t kMasks = 40;
  const BinaryMasks masks = mask_binarize(context, random_tensor(context, {kMasks, 300}, 1, -0.5f), 0.5f);
  const Tensor overlaps = mask_overlap(context, masks.words, masks.areas, integers(context, kMasks, 2, 2));
  std::vector<float> scores = random_values(kMasks, 3);
  std::sort(scores.rbegin(), scores.rend());
  const Tensor sorted = Tensor::from_host<float>(context, {kMasks}, scores);
  return {exact<int64_t>(context, "words", masks.words),
          exact<int32_t>(context, "areas", masks.areas),
          rounded(context, "maskness", masks.maskness),
          rounded(context, "overlaps", overlaps),
          rounded(context, "decayed", matrix_nms(context, overlaps, sorted, {})),
          rounded(context, "decayed linearly", matrix_nms(context, overlaps, sorted, {.gaussian = false})),
          exact<uint8_t>(context, "kept", greedy_nms(context, overlaps, 0.2f))};
}

std::vector<CheckedTensor> check_mask_candidates(Context& context) {
  constexpr int64_t kCount = 300;
  const Tensor scores = random_tensor(context, {kCount}, 1), areas = integers(context, kCount, 20, 2);
  const Tensor least = integers(context, kCount, 10, 3), rows = integers(context, kCount, 50, 4);
  const Tensor weighed = weigh_masks(context, scores, random_tensor(context, {kCount}, 5), areas, least);
  const RankedPlaces order =
      rank_scores(context, scores, rows, integers(context, kCount, 3, 6), {}, {.capacity = 100, .least = 0.5f});
  const Tensor flags = Tensor::from_host<uint8_t>(context, {4}, std::vector<uint8_t>{1, 0, 0, 1});
  return {exact<int32_t>(context, "places", order.places), exact<int32_t>(context, "kept", order.kept),
          exact<int32_t>(context, "taken rows", take_rows(context, rows, order)), rounded(context, "weighed", weighed),
          rounded(context, "kept scores", keep_scores(context, scores.slice(0, 4), flags))};
}

std::vector<CheckedTensor> check_bits(Context& context) {
  const Tensor bits = mask_enlarge(context, random_tensor(context, {3, 9, 12}, 1),
                                   {.stride = 4, .cut_height = 33, .cut_width = 47, .out_height = 60, .out_width = 85});
  const MaskRuns runs = mask_rle(context, bits, 85, 400);
  return {exact<uint8_t>(context, "bits", bits), exact<int32_t>(context, "runs", runs.runs),
          exact<int32_t>(context, "numbers of runs", runs.counts)};
}

std::vector<CheckedTensor> check_grid_binarize(Context& context) {
  const std::vector<float> boxes = {10, 12, 90, 70, 0, 0, 30, 30, 60, 40, 155, 119};
  const GridMasks masks =
      grid_binarize(context, random_tensor(context, {1, 15, 20, 8}, 1), random_tensor(context, {3, 144}, 2),
                    Tensor::from_host<float>(context, {3, 4}, boxes),
                    Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{3}),
                    {.original_height = 120, .original_width = 160, .resized_height = 120, .resized_width = 160});
  const std::vector<int32_t> rectangles = masks.rectangles.to_host<int32_t>(context);
  const std::vector<int64_t> offsets = masks.offsets.to_host<int64_t>(context);
  const std::vector<uint8_t> bits = masks.bits.to_host<uint8_t>(context);
  CheckedTensor rows{"bits", {}, true};  // without what lies between two masks
  for (size_t mask = 0; mask + 1 < offsets.size(); ++mask) {
    const auto first = bits.begin() + offsets[mask];
    rows.values.insert(rows.values.end(), first,
                       first + rectangles[4 * mask + 3] * ((rectangles[4 * mask + 2] + 7) / 8));
  }
  return {exact<int32_t>(context, "rectangles", masks.rectangles), exact<int64_t>(context, "offsets", masks.offsets),
          rows};
}

}  // namespace

std::vector<OpCheck> op_checks() {
  std::vector<OpCheck> checks;
  add_convolutions(checks);
  add_layers(checks);
  add_losses(checks);
  checks.push_back({"softmax", 81, [](Context& context) -> std::vector<CheckedTensor> {
                      return {rounded(context, "p", softmax(context, random_tensor(context, {33, 81}, 1), 80))};
                    }});
  checks.push_back({"point_nms", 1, [](Context& context) -> std::vector<CheckedTensor> {
                      const Tensor scores = random_tensor(context, {kPyramidRows, 5}, 1);
                      return {rounded(context, "kept", point_nms(context, scores, small_pyramid({}).geometry))};
                    }});
  checks.push_back({"select_top_k, fcos_decode, nms", 1, check_detection});
  checks.push_back({"mask_binarize, mask_overlap, matrix_nms, greedy_nms", 300, check_masks});
  checks.push_back({"rank_scores, take_rows, weigh_masks, keep_scores", 100, check_mask_candidates});
  checks.push_back({"mask_enlarge, mask_rle", 1, check_bits});
  checks.push_back({"grid_binarize", 1, check_grid_binarize});
  return checks;
}

}  // namespace tessera
