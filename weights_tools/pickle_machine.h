// Reads a pickle (protocols 0 to 5 as far as weights use them) without running anything: the opcodes are a fixed list,
// functions and classes are labels, and objects of unknown classes become opaque values. Protocol:
// Python's Lib/pickletools.py.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "weights_tools/pickle_value.h"

namespace tessera {

// Limits against files that expand: a checkpoint of a thousand tensors with its optimizer needs a hundredth of them.
inline constexpr size_t kMaxPickleValues = 4'000'000;
inline constexpr size_t kMaxPickleStack = 1'000'000;

struct PickleResult {
  const PickleValue* root = nullptr;
  size_t length = 0;  // bytes up to and with STOP
};

// pickle must outlive content. source is named in errors: "FILE: data.pkl". Throws Error(weights) "SOURCE: byte 12:
// <reason>" for opcodes and functions that are not allowed, truncation, and everything that is not a pickle.
PickleResult read_pickle(std::string_view pickle, PickleContent& content, const std::string& source);

}  // namespace tessera
