#include "apps/model_convolutions.h"

#include <algorithm>
#include <map>

#include "kernels/conv2d_choice.h"
#include "models/registry.h"

namespace tessera {

namespace {

int64_t multiply_adds(const BenchShape& shape) {
  const int64_t padding = 2 * (shape.window / 2);
  const auto out = [&](int64_t extent) { return (extent + padding - shape.window) / shape.stride + 1; };
  return shape.images * out(shape.height) * out(shape.width) * shape.out * shape.window * shape.window * shape.in /
         shape.groups;
}

// Takes down what a network asks for; nothing runs. Calls of each shape.
class CallList final : public ConvTuner {
 public:
  ConvChoice choose(const ConvWork& work, const std::function<double(const ConvChoice&)>&) override {
    const Conv2dWindow& of = work.window;
    TESSERA_CHECK(of.height == of.width && of.padding == of.height / 2, "a window of {} x {}, padding {}", of.height,
                  of.width, of.padding);
    for (const Conv2dMap& map : work.maps) {
      const BenchShape shape{"model",         "",        map.images, map.height, map.width, of.in_channels,
                             of.out_channels, of.height, of.stride,  of.groups};
      ++calls[describe(shape)];
      shapes.push_back(shape);
    }
    return choose_conv(work);
  }

  std::map<std::string, int64_t> calls;
  std::vector<BenchShape> shapes;
};

}  // namespace

std::vector<BenchShape> model_convolutions(const ModelConfig& config, int batch, int height, int width) {
  const auto padded = [&](int extent) {
    return (extent + config.size_divisor - 1) / config.size_divisor * config.size_divisor;
  };
  PlanContext context;
  const auto list = std::make_shared<CallList>();
  context.set_convolutions({.tuner = list});
  ParameterStore store;
  const std::unique_ptr<System> system = make_system(config, store);
  store.allocate(context, 0, false);
  Tape tape(context, Tape::Mode::forward);
  system->forward(tape, Tensor::empty(context, {batch, padded(height), padded(width), 3}, DType::f32, "input"));

  std::vector<BenchShape> shapes = list->shapes;
  const auto weight = [&](const BenchShape& shape) { return list->calls[describe(shape)] * multiply_adds(shape); };
  std::stable_sort(shapes.begin(), shapes.end(), [&](const BenchShape& a, const BenchShape& b) {
    return std::pair(-weight(a), describe(a)) < std::pair(-weight(b), describe(b));
  });
  const auto same = [](const BenchShape& a, const BenchShape& b) { return describe(a) == describe(b); };
  shapes.erase(std::unique(shapes.begin(), shapes.end(), same), shapes.end());
  return shapes;
}

}  // namespace tessera
