// Writing tensors of every dtype the format knows, not only of those this engine computes with.
#pragma once

#include <string>
#include <vector>

#include "engine/io/safetensors.h"

namespace tessera {

struct RawSafetensorsSource {
  std::string name;
  std::string dtype;  // as the format spells it: "F32", "I16", "BOOL", ...; whole bytes
  std::vector<int64_t> shape;
  const void* data;  // host memory, contiguous
};

// As write_safetensors.
void write_raw_safetensors(const std::filesystem::path& file, std::vector<RawSafetensorsSource> tensors,
                           const Metadata& metadata);

}  // namespace tessera
