#include "apps/bench_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/rng.h"
#include "engine/ops/axial_attention.h"
#include "engine/ops/binary_cross_entropy.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/dice_loss.h"
#include "engine/ops/fcos_decode.h"
#include "engine/ops/focal_loss.h"
#include "engine/ops/grid_binarize.h"
#include "engine/ops/group_norm.h"
#include "engine/ops/linear.h"
#include "engine/ops/multi_head_attention.h"
#include "engine/ops/nms.h"
#include "engine/ops/resize.h"

namespace tessera {

namespace {

constexpr int64_t kChannels = 256, kClasses = 80, kMasks = 32, kDetections = 100, kPixelChannels = 16;
constexpr int kGrid = 3;

// Sizes that follow from the picture's. A full picture has the sizes of the goals, a small one is for the emulator.
struct Sizes {
  int64_t height, width;

  int64_t rows(int64_t stride) const { return (height + stride - 1) / stride; }
  int64_t columns(int64_t stride) const { return (width + stride - 1) / stride; }
  PyramidGeometry pyramid() const {
    PyramidGeometry geometry(1);
    for (const int64_t stride : {8, 16, 32, 64, 128}) geometry.add_level(rows(stride), columns(stride), stride);
    return geometry;
  }
  // What is so large for a picture of 800 x 1344, a multiple of 16.
  int64_t scaled(int64_t full) const {
    const double side = std::sqrt(static_cast<double>(height * width) / (800.0 * 1344.0));
    return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(full) * std::min(1.0, side)) / 16) * 16;
  }
};

Tensor random_tensor(Context& context, const Shape& shape, uint64_t sample, float mean = 0) {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  Rng rng(1, RandomPurpose::test, 400, sample);
  constexpr size_t kPeriod = 65537;  // as in bench_ops.cpp
  for (size_t i = 0; i < values.size(); ++i) values[i] = i < kPeriod ? mean + rng.uniform(-1, 1) : values[i - kPeriod];
  return Tensor::from_host<float>(context, shape, values);
}

Tensor integers(Context& context, const Shape& shape, uint32_t limit, uint64_t sample) {
  std::vector<int32_t> values(static_cast<size_t>(shape.elements()));
  Rng rng(1, RandomPurpose::test, 401, sample);
  for (int32_t& value : values) value = static_cast<int32_t>(rng.below(limit));
  return Tensor::from_host<int32_t>(context, shape, values);
}

using Inputs = std::vector<Variable>;
using Op = std::function<Variable(Tape&, const Inputs&)>;

// A row makes on a context what it needs beside its inputs, and gives what is to be timed: an op with gradients of its
// random inputs, or a call.
struct Row {
  std::string name, description;
  double macs = 0;
  std::vector<Shape> inputs = {};
  std::function<Op(Context&)> op = {};
  std::function<std::function<void()>(Context&)> call = {};
};

// An op that needs nothing else.
std::function<Op(Context&)> alone(Op op) {
  return [op = std::move(op)](Context&) { return op; };
}

std::vector<float> random_boxes(int64_t count, const Sizes& sizes) {
  std::vector<float> boxes;
  Rng rng(1, RandomPurpose::test, 402);
  const auto height = static_cast<float>(sizes.height), width = static_cast<float>(sizes.width);
  for (int64_t i = 0; i < count; ++i) {
    const float x = rng.uniform(0, 0.9f * width), y = rng.uniform(0, 0.9f * height);
    boxes.insert(boxes.end(), {x, y, x + rng.uniform(0.02f, 0.1f) * width, y + rng.uniform(0.02f, 0.1f) * height});
  }
  return boxes;
}

Candidates random_candidates(Context& context, int64_t count, const Sizes& sizes) {
  std::vector<float> scores(static_cast<size_t>(count));
  std::vector<int32_t> rows(scores.size());
  Rng rng(1, RandomPurpose::test, 403);
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] = rng.uniform(0, 1);
    rows[i] = static_cast<int32_t>(i);
  }
  return {Tensor::from_host<float>(context, {1, count, 4}, random_boxes(count, sizes)),
          Tensor::from_host<float>(context, {1, count}, scores), integers(context, {1, count}, kClasses, 1),
          Tensor::from_host<int32_t>(context, {1, count}, rows),
          Tensor::from_host<int32_t>(context, {1}, std::vector<int32_t>{static_cast<int32_t>(count)})};
}

// All that follows the network, from logits to bit masks, without a wait for the host.
std::function<void()> post_processing(Context& context, const Sizes& sizes) {
  const PyramidGeometry geometry = sizes.pyramid();
  const Tensor logits = random_tensor(context, {geometry.rows(), kClasses}, 1, -3);
  const Tensor quality = random_tensor(context, {geometry.rows(), 1}, 2);
  const Tensor distances = random_tensor(context, {geometry.rows(), 4}, 3, 3);
  const auto height = static_cast<int32_t>(sizes.height), width = static_cast<int32_t>(sizes.width);
  const Tensor picture = Tensor::from_host<int32_t>(context, {1, 4}, std::vector{height, width, height, width});
  const Tensor pixels = random_tensor(context, {sizes.rows(8), sizes.columns(8), kPixelChannels}, 4);
  const Tensor objects = random_tensor(context, {kDetections, int64_t{kGrid} * kGrid * 2 * kPixelChannels}, 5);
  GridBinarizeOptions masks{kGrid, 8, sizes.height, sizes.width, sizes.height, sizes.width, 0};
  masks.capacity = largest_need(kDetections, masks);
  return [=, &context] {
    const TopKSelection best = select_top_k(context, logits, quality, geometry, {});
    const Candidates found = fcos_decode(context, best, distances, geometry, {}, {});
    const Candidates kept = nms(context, found, {.capacity = kDetections});
    const Candidates boxes = rescale_candidates(context, kept, picture);
    grid_binarize(context, pixels, objects, boxes.boxes.reshape({kDetections, 4}), boxes.counts, masks);
  };
}

void add_products(std::vector<Row>& rows, const Sizes& sizes) {
  const int64_t side = sizes.scaled(4096);
  rows.push_back({"linear",
                  fmt::format("{0} x {0} x {0}", side),
                  static_cast<double>(side * side * side),
                  {{side, side}, {side, side}, {side}},
                  alone([](Tape& tape, const Inputs& in) { return linear(tape, in[0], in[1], in[2]); })});
  // A block of res4: a 3x3 with its folded norm, then the expansion with the shortcut.
  const int64_t height = sizes.rows(16), width = sizes.columns(16), pixels = height * width;
  rows.push_back({"conv affine relu",
                  fmt::format("1x{}x{} 256->256 3x3", height, width),
                  static_cast<double>(pixels * kChannels * kChannels * 9),
                  {{1, height, width, kChannels}, {kChannels, 3, 3, kChannels}},
                  [](Context& context) -> Op {
                    return [scale = random_tensor(context, {kChannels}, 7)](Tape& tape, const Inputs& in) {
                      return conv2d(tape, {in[0], in[1], {}, scale, scale, {}}, {.padding = 1, .relu = true});
                    };
                  }});
  rows.push_back({"conv affine residual relu",
                  fmt::format("1x{}x{} 256->1024 1x1", height, width),
                  static_cast<double>(pixels * kChannels * 4 * kChannels),
                  {{1, height, width, kChannels}, {4 * kChannels, 1, 1, kChannels}, {1, height, width, 4 * kChannels}},
                  [](Context& context) -> Op {
                    return [scale = random_tensor(context, {4 * kChannels}, 7)](Tape& tape, const Inputs& in) {
                      return conv2d(tape, {in[0], in[1], {}, scale, scale, in[2]}, {.relu = true});
                    };
                  }});
  const PyramidGeometry geometry = sizes.pyramid();
  rows.push_back({"tower layer",
                  fmt::format("3 branches of 5 levels, {} rows, 256->256 3x3", geometry.rows()),
                  static_cast<double>(3 * geometry.rows() * kChannels * kChannels * 9),
                  {},
                  {},
                  [geometry](Context& context) -> std::function<void()> {
                    std::vector<Conv2dBranch> branches;
                    for (uint64_t i = 0; i < 3; ++i) {
                      branches.push_back({{random_tensor(context, {geometry.rows(), kChannels}, 3 * i), geometry},
                                          random_tensor(context, {kChannels, 3, 3, kChannels}, 3 * i + 1),
                                          random_tensor(context, {kChannels}, 3 * i + 2)});
                    }
                    return [branches, &context] {
                      Tape tape(context, Tape::Mode::forward);
                      conv2d(tape, branches, {.padding = 1});
                    };
                  }});
}

void add_layers(std::vector<Row>& rows, const Sizes& sizes) {
  const PyramidGeometry geometry = sizes.pyramid();
  rows.push_back({"group_norm relu",
                  fmt::format("5 levels, {} rows of 256", geometry.rows()),
                  0,
                  {{geometry.rows(), kChannels}, {kChannels}, {kChannels}},
                  alone([geometry](Tape& tape, const Inputs& in) {
                    return group_norm(tape, Pyramid{in[0], geometry}, in[1], in[2], {.relu = true}).rows;
                  })});
  const int64_t side = sizes.scaled(40);
  for (const auto& [name, axis] : {std::pair("axial_attention columns", AttentionAxis::column),
                                   std::pair("axial_attention rows", AttentionAxis::row)}) {
    rows.push_back(
        {name,
         fmt::format("8x{0}x{0}x256, 8 heads", side),
         static_cast<double>(2 * 8 * side * side * side * kChannels),
         {{8, side, side, kChannels}, {8, side, side, 2 * kChannels}},
         alone([axis = axis](Tape& tape, const Inputs& in) { return axial_attention(tape, in[0], in[1], 8, axis); })});
  }
  const int64_t tokens = sizes.scaled(1600);
  rows.push_back(
      {"multi_head_attention",
       fmt::format("1x{}x256, 8 heads", tokens),
       static_cast<double>(2 * tokens * tokens * kChannels),
       {{1, tokens, kChannels}, {1, tokens, kChannels}, {1, tokens, kChannels}},
       alone([](Tape& tape, const Inputs& in) { return multi_head_attention(tape, in[0], in[1], in[2], 8); })});
  const int64_t height = sizes.rows(16), width = sizes.columns(16);
  rows.push_back(
      {"resize_bilinear",
       fmt::format("1x{}x{}x256 to twice the size", height, width),
       0,
       {{1, height, width, kChannels}},
       alone([=](Tape& tape, const Inputs& in) { return resize_bilinear(tape, in[0], 2 * height, 2 * width); })});
}

void add_losses(std::vector<Row>& rows, const Sizes& sizes) {
  const int64_t cells = sizes.pyramid().rows(), height = sizes.rows(4), width = sizes.columns(4);
  const std::string logits = fmt::format("{} x {}", cells, kClasses);
  rows.push_back({"sigmoid_focal_loss", logits, 0, {{cells, kClasses}}, [=](Context& context) -> Op {
                    return [labels = integers(context, {cells}, kClasses + 1, 1)](Tape& tape, const Inputs& in) {
                      return sigmoid_focal_loss(tape, in[0], labels, {.normalizer = 100});
                    };
                  }});
  rows.push_back(
      {"binary_cross_entropy", logits, 0, {{cells, kClasses}}, [=](Context& context) -> Op {
         return [=, targets = random_tensor(context, {cells, kClasses}, 1, 1)](Tape& tape, const Inputs& in) {
           return binary_cross_entropy_with_logits(tape, in[0], targets, static_cast<float>(cells * kClasses));
         };
       }});
  rows.push_back({"dice_loss",
                  fmt::format("{} masks of {}x{}", kMasks, height, width),
                  0,
                  {{kMasks, height, width}},
                  [=](Context& context) -> Op {
                    return [words = integers(context, {kMasks, (height * width + 31) / 32}, 1u << 31, 1),
                            index = integers(context, {kMasks}, kMasks, 2)](Tape& tape, const Inputs& in) {
                      return dice_loss(tape, in[0], words, index, {.normalizer = kMasks});
                    };
                  }});
}

void add_detection(std::vector<Row>& rows, const Sizes& sizes) {
  for (const int64_t full : {1000, 5000}) {
    const int64_t count = sizes.scaled(full);
    rows.push_back({fmt::format("nms {}", full),
                    fmt::format("{} boxes of {} classes", count, kClasses),
                    0,
                    {},
                    {},
                    [=](Context& context) -> std::function<void()> {
                      return [found = random_candidates(context, count, sizes), &context] {
                        nms(context, found, {.capacity = kDetections});
                      };
                    }});
  }
  rows.push_back({"post-processing",
                  fmt::format("{} cells of {} classes to {} masks", sizes.pyramid().rows(), kClasses, kDetections),
                  0,
                  {},
                  {},
                  [sizes](Context& context) { return post_processing(context, sizes); }});
}

std::vector<Row> all_rows(const Sizes& sizes) {
  std::vector<Row> rows;
  add_products(rows, sizes);
  add_layers(rows, sizes);
  add_losses(rows, sizes);
  add_detection(rows, sizes);
  return rows;
}

KernelBench bench(Context& context, const Row& row, double seconds) {
  KernelBench result{row.name, row.description, row.macs};
  const bool clock = context.backend() != Backend::emulated;  // which has none: once is enough
  const TimingPlan plan{.least_rounds = clock ? 3 : 1, .least_seconds = clock ? seconds : 0};
  if (row.call) {
    result.forward = time_on_device(context, plan, row.call(context));
    return result;
  }
  const Op op = row.op(context);
  std::vector<Tensor> values;
  for (const Shape& shape : row.inputs) values.push_back(random_tensor(context, shape, values.size()));
  const Inputs constants(values.begin(), values.end());
  Shape shape;
  result.forward = time_on_device(context, plan, [&] {
    Tape tape(context, Tape::Mode::forward);
    shape = op(tape, constants).shape();
  });
  const Tensor cotangent = random_tensor(context, shape, 99);
  result.training = time_on_device(context, plan, [&] {
    Tape tape(context);
    Inputs inputs;
    for (const Tensor& value : values) inputs.push_back(tape.input(value));
    tape.backward(op(tape, inputs), cotangent);
  });
  return result;
}

}  // namespace

std::vector<KernelBench> bench_kernels(Context& context, const BenchKernelsOptions& options) {
  std::vector<KernelBench> results;
  for (const Row& row : all_rows({options.height, options.width})) {
    if (row.name.find(options.filter) != std::string::npos) results.push_back(bench(context, row, options.seconds));
  }
  return results;
}

void print_kernels_bench(const std::vector<KernelBench>& rows) {
  if (!rows.empty())
    fmt::print("{:<26} {:<44} {:>12} {:>9} {:>12}\n", "operation", "", "forward ms", "GFLOP/s", "training ms");
  for (const KernelBench& row : rows) {
    fmt::print("{:<26} {:<44} {:>12.3f} {:>9} {:>12}\n", row.name, row.description, 1e3 * row.forward.median,
               row.macs > 0 ? fmt::format("{:.0f}", 2e-9 * row.macs / row.forward.median) : "",
               row.training.median > 0 ? fmt::format("{:.3f}", 1e3 * row.training.median) : "");
  }
}

}  // namespace tessera
