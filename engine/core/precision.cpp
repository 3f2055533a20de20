#include "engine/core/precision.h"

#include <array>
#include <utility>

#include "engine/core/error.h"

namespace tessera {

namespace {

constexpr std::array<std::pair<const char*, ConvMath>, 5> kNames = {
    {{"fp32", ConvMath::fp32},
     {"tf32", ConvMath::tf32},
     {"bf16", ConvMath::bf16},
     {"fp16", ConvMath::fp16},
     {"fp16-chunked", ConvMath::fp16_accumulate_chunked}}};

}  // namespace

ConvMath parse_precision(std::string_view text) {
  for (const auto& [name, math] : kNames) {
    if (text == name) return math;
  }
  throw Error(ExitCode::usage, fmt::format("precision '{}': not one of fp32, tf32, bf16, fp16, fp16-chunked", text),
              "--precision fp32");
}

const char* precision_name(ConvMath math) {
  for (const auto& [name, of_name] : kNames) {
    if (math == of_name) return name;
  }
  return "?";
}

void set_precision(Context& context, ConvMath math) {
  if (context.backend() == Backend::cpu && math != ConvMath::fp32 && math != ConvMath::bf16) {
    throw Error(ExitCode::usage, fmt::format("precision '{}': the CPU computes in fp32 or bf16", precision_name(math)),
                "--precision bf16, or --device cuda");
  }
  ConvSettings settings = context.convolutions();
  settings.math = math;
  context.set_convolutions(settings);
}

ConvMath precision_of(const Context& context) { return context.convolutions().math; }

}  // namespace tessera
