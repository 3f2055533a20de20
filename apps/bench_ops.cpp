#include "apps/bench_ops.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/bench_shapes.h"
#include "engine/core/dispatch.h"
#include "engine/core/precision.h"
#include "engine/core/rng.h"
#include "engine/core/tensor.h"
#include "kernels/conv2d_choice.h"
#include "kernels/cpu/machine_peak.h"
#include "kernels/cuda/libraries.h"

namespace tessera {

namespace {

template <typename Device, typename Call>
Timing time_pass(Device& context, double least_seconds, int64_t macs, Call&& kernel) {
  // The emulator has no clock: once is enough.
  const bool clock = !std::is_same_v<Device, EmulatedContext>;
  return time_on_device(
      context, {clock ? 3 : 1, clock ? least_seconds : 0, static_cast<double>(macs), peak_of(context)}, kernel);
}

// Nothing where the library has no way to do it.
template <typename Device, typename Call>
Timing time_library(Device& context, double least_seconds, int64_t macs, Call&& kernel) {
  try {
    return time_pass(context, least_seconds, macs, kernel);
  } catch (const LibraryRefused&) {
    return {};
  }
}

Tensor random_tensor(Context& context, const Shape& shape, uint64_t sample) {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  Rng rng(1, RandomPurpose::test, 200, sample);
  // Repeated: to draw millions takes longer than to time them, and no kernel looks for periods.
  constexpr size_t kPeriod = 65537;
  for (size_t i = 0; i < values.size(); ++i) values[i] = i < kPeriod ? rng.uniform(-1, 1) : values[i - kPeriod];
  return Tensor::from_host<float>(context, shape, values);
}

template <typename Device>
ConvolutionBench bench_convolution(Device& context, const BenchShape& shape, const std::string& description,
                                   double seconds) {
  const int64_t padding = shape.window / 2;
  const Conv2dWindow window{shape.in, shape.out, shape.window, shape.window, shape.stride, padding, shape.groups};
  const auto out = [&](int64_t extent) { return (extent + 2 * padding - shape.window) / shape.stride + 1; };
  const Conv2dMap map{shape.images, shape.height, shape.width, out(shape.height), out(shape.width), 0, 0};
  const Tensor x = random_tensor(context, {map.in_rows(), shape.in}, 0);
  const Tensor weight = random_tensor(context, {window.weight_elements()}, 1);
  const Tensor bias = random_tensor(context, {shape.out}, 2);
  const Tensor dy = random_tensor(context, {map.out_rows(), shape.out}, 3);
  const Tensor y = Tensor::empty(context, dy.shape()), dx = Tensor::empty(context, x.shape());
  const Tensor dweight = Tensor::empty(context, weight.shape());
  const ConvMath math = precision_of(context);
  ConvolutionBench result{shape.group, description, map.out_rows() * window.weight_elements()};
  const auto forward = [&](bool epilogue, const auto&... choice) {
    conv2d_forward(context,
                   Conv2dForwardArgs{window,
                                     {&map, 1},
                                     x.data<float>(),
                                     weight.data<float>(),
                                     nullptr,
                                     epilogue ? bias.data<float>() : nullptr,
                                     nullptr,
                                     y.data<float>(),
                                     epilogue,
                                     math},
                   choice...);
  };
  const auto data_gradient = [&](const auto&... choice) {
    conv2d_backward_data(
        context,
        Conv2dBackwardDataArgs{
            window, {&map, 1}, dy.data<float>(), weight.data<float>(), nullptr, dx.data<float>(), gradient_math(math)},
        choice...);
  };
  const auto weight_gradient = [&](const auto&... choice) {
    conv2d_backward_weight(
        context,
        Conv2dBackwardWeightArgs{
            window, {&map, 1}, x.data<float>(), dy.data<float>(), nullptr, dweight.data<float>(), gradient_math(math)},
        choice...);
  };
  result.forward = time_pass(context, seconds, result.macs, [&] { forward(true); });
  result.data_gradient = time_pass(context, seconds, result.macs, data_gradient);
  result.weight_gradient = time_pass(context, seconds, result.macs, weight_gradient);
  if constexpr (!std::is_same_v<Device, CpuContext>) {
    result.bare = time_pass(context, seconds, result.macs, [&] { forward(false); });
    for (const auto& [name, source] :
         {std::pair("cudnn", ConvSource::cudnn), std::pair("cublas", ConvSource::cublas)}) {
      const ConvChoice choice{ConvTile::m64n64, 1, source};
      const LibraryBench library{name, time_library(context, seconds, result.macs, [&] { forward(false, choice); }),
                                 time_library(context, seconds, result.macs, [&] { data_gradient(choice); }),
                                 time_library(context, seconds, result.macs, [&] { weight_gradient(choice); })};
      if (library.forward.fastest + library.data_gradient.fastest + library.weight_gradient.fastest > 0) {
        result.libraries.push_back(library);
      }
    }
  }
  return result;
}

}  // namespace

OpsBench bench_ops(Context& context, const BenchOpsOptions& options) {
  OpsBench result;
  if (context.backend() == Backend::cpu) {
    auto& cpu = static_cast<CpuContext&>(context);
    result = {cpu.threads(), peak_of(cpu, 5)(), measure_copy_bandwidth(cpu), {}};
  }
  const std::span<const BenchShape> shapes =
      options.shapes.empty() ? std::span<const BenchShape>(kBenchShapes) : options.shapes;
  for (const BenchShape& shape : shapes) {
    const std::string description = describe(shape);
    if (fmt::format("{} {}", shape.group, description).find(options.filter) == std::string::npos) continue;
    dispatch(context, [&](auto& device) {
      result.convolutions.push_back(bench_convolution(device, shape, description, options.seconds));
    });
    if (options.on_row) options.on_row(static_cast<int64_t>(result.convolutions.size()));
  }
  return result;
}

void print_ops_bench(const OpsBench& result) {
  if (result.threads > 0) {
    fmt::print(
        "{} threads, {:.0f} GFLOP/s of multiply-adds, {:.1f} GB/s of copying at the beginning; shares are of the peak "
        "between the calls\n",
        result.threads, result.fma_peak, result.copy_bandwidth);
  }
  fmt::print("{:<9} {:<46} {:>7}  {:>24}  {:>24}  {:>24}\n", "group", "convolution", "GMAC", "forward  ms GFLOP/s    %",
             "d/dx  ms GFLOP/s    %", "d/dw  ms GFLOP/s    %");
  for (const ConvolutionBench& row : result.convolutions) {
    fmt::print("{:<9} {:<46} {:>7.3f}", row.group, row.description, 1e-9 * static_cast<double>(row.macs));
    for (const Timing& pass : {row.forward, row.data_gradient, row.weight_gradient}) {
      const double speed = row.gigaflops(pass);
      fmt::print("  {:>10.3f} {:>7.1f} {:>5}", 1e3 * pass.fastest, speed,
                 pass.peak > 0 ? fmt::format("{:.0f}%", 100 * pass.share_of_peak) : "");
    }
    fmt::print("\n");
    for (const LibraryBench& library : row.libraries) {
      fmt::print("{:<9} {:<46} {:>7}", "", "  by " + library.name, "");
      for (const Timing& pass : {library.forward, library.data_gradient, library.weight_gradient}) {
        fmt::print("  {:>24}", pass.fastest > 0
                                   ? fmt::format("{:.3f} {:>7.1f}      ", 1e3 * pass.fastest, row.gigaflops(pass))
                                   : "");
      }
      fmt::print("\n");
    }
  }
}

std::string ops_bench_json(const OpsBench& result) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const ConvolutionBench& row : result.convolutions) {
    const auto json_of = [&](const Timing& pass) {
      nlohmann::ordered_json json{
          {"median_ms", 1e3 * pass.median}, {"fastest_ms", 1e3 * pass.fastest}, {"gigaflops", row.gigaflops(pass)}};
      if (pass.peak > 0) json.update({{"peak_gigaflops", pass.peak}, {"share_of_peak", pass.share_of_peak}});
      return json;
    };
    nlohmann::ordered_json libraries = nlohmann::ordered_json::object();
    for (const LibraryBench& library : row.libraries) {
      for (const auto& [pass, timing] :
           {std::pair("forward", library.forward), std::pair("data_gradient", library.data_gradient),
            std::pair("weight_gradient", library.weight_gradient)}) {
        if (timing.fastest > 0) libraries[library.name][pass] = json_of(timing);
      }
    }
    rows.push_back({{"group", row.group},
                    {"description", row.description},
                    {"macs", row.macs},
                    {"forward", json_of(row.forward)},
                    {"data_gradient", json_of(row.data_gradient)},
                    {"weight_gradient", json_of(row.weight_gradient)},
                    {"libraries", libraries}});
    if (row.bare.fastest > 0) rows.back()["bare"] = json_of(row.bare);
  }
  nlohmann::ordered_json document;
  if (result.threads > 0) {
    document = {{"threads", result.threads},
                {"fma_peak_gigaflops", result.fma_peak},
                {"copy_gigabytes_per_second", result.copy_bandwidth}};
  }
  document["convolutions"] = rows;
  return document.dump(2) + "\n";
}

}  // namespace tessera
