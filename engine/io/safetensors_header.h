// The header of a safetensors file (format of huggingface/safetensors): u64 length, JSON, then the data section. Parsed
// event by event, because JSON libraries silently keep the last of two equal keys.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/dtype.h"

namespace tessera {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;           // as written in the file: "F32", "BF16", ...
  std::vector<int64_t> shape;  // empty: a scalar
  uint64_t begin = 0;          // bytes into the data section
  uint64_t end = 0;

  uint64_t bytes() const { return end - begin; }
  int64_t elements() const;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;        // in the order of their data
  std::map<std::string, std::string> metadata;  // "__metadata__"
};

// Largest header accepted; the reference implementation has the same limit.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// text: the JSON of the header; data_bytes: size of the data section. source is named in errors. Throws Error(weights)
// for text that is not a JSON object of tensors, a key given twice, unknown dtypes, numbers that are not non-negative
// integers, products that overflow, shape and offsets that disagree, holes, overlaps and trailing bytes.
SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes, std::string_view source);

// Bits per element of a dtype by its name in the file, 0 for an unknown one.
int safetensors_dtype_bits(std::string_view dtype);
// "F32" for DType::f32.
const char* safetensors_dtype_name(DType dtype);

// The failure every reader of weight files reports: "FILE: <reason>" with a hint to get the file again.
[[noreturn]] void throw_bad_weight_file(std::string_view source, const std::string& reason);

}  // namespace tessera
