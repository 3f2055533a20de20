// "800x1344" -> height and width, as the options --size take it.
#pragma once

#include <charconv>
#include <string_view>
#include <utility>

#include "engine/core/error.h"

namespace tessera {

// {height, width}, both at least 1. Throws Error(usage).
inline std::pair<int, int> parse_size(std::string_view text) {
  int height = 0, width = 0;
  const char* end = text.data() + text.size();
  auto [after_height, first] = std::from_chars(text.data(), end, height);
  if (first == std::errc() && after_height != end && *after_height == 'x') {
    auto [after_width, second] = std::from_chars(after_height + 1, end, width);
    if (second == std::errc() && after_width == end && height >= 1 && width >= 1) return {height, width};
  }
  throw Error(ExitCode::usage, fmt::format("--size {}: not HEIGHTxWIDTH", text), "--size 800x1344");
}

}  // namespace tessera
