#include "apps/gpu_prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "models/registry.h"

namespace tessera {

namespace {

struct Product {
  std::vector<int64_t> rows;
  int64_t columns, groups, depth, taps, branches;

  bool operator<(const Product& other) const {
    return std::tie(rows, columns, groups, depth, taps, branches) <
           std::tie(other.rows, other.columns, other.groups, other.depth, other.taps, other.branches);
  }
  int64_t all_rows() const {
    int64_t sum = 0;
    for (const int64_t of_map : rows) sum += of_map;
    return sum;
  }
  ConvWork work(ConvMath math) const {
    return {ConvPass::forward, math_of_call(math, depth / taps), rows, columns, groups, depth, taps};
  }
};

// Takes down what a network asks for; nothing runs.
class ProductList final : public ConvTuner {
 public:
  ConvChoice choose(const ConvWork& work, const std::function<double(const ConvChoice&)>&) override {
    ++calls[{{work.rows.begin(), work.rows.end()}, work.columns, work.groups, work.depth, work.taps, work.branches}];
    return choose_conv(work);
  }

  std::map<Product, int64_t> calls;
};

std::string describe(const Product& product) {
  const auto window = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(product.taps))));
  std::string text =
      fmt::format("{}x{} {} -> {}, {} rows", window, window, product.depth / product.taps * product.groups,
                  product.columns * product.groups, product.all_rows());
  if (product.rows.size() > 1) text += fmt::format(" of {} maps", product.rows.size());
  if (product.branches > 1) text += fmt::format(", {} branches", product.branches);
  if (product.groups > 1) text += fmt::format(", {} groups", product.groups);
  return text;
}

ConvolutionForecast forecast(const Product& product, int64_t calls) {
  ConvolutionForecast result{describe(product), calls,
                             product.all_rows() * product.columns * product.groups * product.depth};
  for (size_t i = 0; i < kPredictedMath.size(); ++i) result.product[i] = predict_conv(product.work(kPredictedMath[i]));
  const int64_t x = product.all_rows() * product.depth / product.taps * product.groups;
  const int64_t weights = product.branches * product.columns * product.groups * product.depth;
  if (product.work(ConvMath::bf16).math == ConvMath::bf16) {
    result.copy_seconds = predicted_copy_seconds(6 * (x + weights));
  }
  return result;
}

const char* name_of(ConvMath math) {
  return math == ConvMath::fp32 ? "fp32" : math == ConvMath::bf16 ? "bf16" : "fp16-chunked";
}

const char* name_of(ConvTile tile) {
  constexpr const char* kNames[] = {"128x128", "128x64", "64x64", "128x16", "16x64"};
  return kNames[static_cast<size_t>(tile)];
}

}  // namespace

double GpuForecast::product_seconds(size_t math) const {
  double sum = 0;
  for (const ConvolutionForecast& at : convolutions) sum += static_cast<double>(at.calls) * at.product[math].seconds;
  return sum;
}

double GpuForecast::copy_seconds(size_t math) const {
  double sum = 0;
  if (kPredictedMath[math] == ConvMath::fp32) return sum;
  for (const ConvolutionForecast& at : convolutions) sum += static_cast<double>(at.calls) * at.copy_seconds;
  return sum;
}

GpuForecast forecast_gpu(const ModelConfig& config, int batch, int height, int width) {
  const auto padded = [&](int extent) {
    return (extent + config.size_divisor - 1) / config.size_divisor * config.size_divisor;
  };
  PlanContext context;
  const auto list = std::make_shared<ProductList>();
  context.set_convolutions({.tuner = list});
  ParameterStore store;
  const std::unique_ptr<System> system = make_system(config, store);
  store.allocate(context, 0, false);
  Tape tape(context, Tape::Mode::forward);
  system->forward(tape, Tensor::empty(context, {batch, padded(height), padded(width), 3}, DType::f32, "input"));

  GpuForecast result;
  int64_t other_bytes = 0;
  for (const StageCost& stage : tape.costs()) {
    other_bytes += stage.activation_bytes;
    result.other_macs += stage.macs;
  }
  for (const auto& [product, calls] : list->calls) {
    result.convolutions.push_back(forecast(product, calls));
    result.other_macs -= calls * result.convolutions.back().macs;
    other_bytes -= calls * product.all_rows() * product.columns * product.groups * int64_t{sizeof(float)};
  }
  result.other_seconds = predicted_copy_seconds(2 * other_bytes);
  std::stable_sort(result.convolutions.begin(), result.convolutions.end(),
                   [](const auto& a, const auto& b) { return a.calls * a.macs > b.calls * b.macs; });
  return result;
}

void print_forecast(const GpuForecast& forecast) {
  fmt::print(
      "PREDICTION, not a measurement: the model of docs/kernels/conv2d.md, a card of 84 multiprocessors at 1.7 GHz,\n"
      "128 multiply-adds a clock in fp32 (bf16: 256, fp16-chunked: 512), 928 GB/s. Per call: tile and splits,\n"
      "microseconds, share of the card's multiply-adds.\n");
  fmt::print("{:>5} {:<54} {:>8}", "calls", "convolution", "GMAC");
  for (const ConvMath math : kPredictedMath) fmt::print("  {:<24}", name_of(math));
  fmt::print("\n");
  for (const ConvolutionForecast& at : forecast.convolutions) {
    fmt::print("{:>5} {:<54} {:>8.3f}", at.calls, at.description, 1e-9 * static_cast<double>(at.macs));
    for (const ConvPrediction& of : at.product) {
      fmt::print("  {:>7} /{:<2} {:>7.0f} {:>3.0f} %", name_of(of.choice.tile), of.choice.splits, 1e6 * of.seconds,
                 100 * of.limit_seconds / of.seconds);
    }
    fmt::print("\n");
  }
  const auto row = [&](const char* name, auto&& milliseconds) {
    fmt::print("{:<69}", name);
    for (size_t i = 0; i < kPredictedMath.size(); ++i) fmt::print("  {:>15.2f} ms     ", milliseconds(i));
    fmt::print("\n");
  };
  const double other = 1e3 * forecast.other_seconds;
  row("convolutions", [&](size_t i) { return 1e3 * forecast.product_seconds(i); });
  row("their operands in 16 bits", [&](size_t i) { return 1e3 * forecast.copy_seconds(i); });
  row("all other ops, as copies of what they write", [&](size_t) { return other; });
  row("the network, without post-processing and launches",
      [&](size_t i) { return 1e3 * (forecast.product_seconds(i) + forecast.copy_seconds(i)) + other; });
  if (forecast.other_macs > 0) {
    fmt::print("not predicted: {:.3f} GMAC of matrix products that are no convolution\n",
               1e-9 * static_cast<double>(forecast.other_macs));
  }
}

std::string forecast_json(const GpuForecast& forecast) {
  nlohmann::ordered_json json{{"prediction", true}, {"other_seconds", forecast.other_seconds}};
  for (size_t i = 0; i < kPredictedMath.size(); ++i) {
    json["seconds"][name_of(kPredictedMath[i])] =
        forecast.product_seconds(i) + forecast.copy_seconds(i) + forecast.other_seconds;
  }
  json["convolutions"] = nlohmann::ordered_json::array();
  for (const ConvolutionForecast& at : forecast.convolutions) {
    nlohmann::ordered_json row{{"description", at.description}, {"calls", at.calls}, {"macs", at.macs}};
    for (size_t i = 0; i < kPredictedMath.size(); ++i) {
      const ConvPrediction& of = at.product[i];
      row[name_of(kPredictedMath[i])] = {{"tile", name_of(of.choice.tile)},
                                         {"splits", of.choice.splits},
                                         {"seconds", of.seconds},
                                         {"limit_seconds", of.limit_seconds}};
    }
    row["copy_seconds"] = at.copy_seconds;
    json["convolutions"].push_back(row);
  }
  return json.dump(2) + "\n";
}

}  // namespace tessera
