// The compressed text of run-length masks (data/annotations/rle.h).
#include "data/annotations/rle.h"
#include "engine/core/error.h"

namespace tessera {

std::string rle_to_string(const Rle& rle) {
  std::string text;
  text.reserve(rle.counts.size() * 2);
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    int64_t value = rle.counts[i];
    if (i > 2) value -= rle.counts[i - 2];
    bool more = true;
    while (more) {
      const int64_t group = value & 31;
      value >>= 5;  // arithmetic: negative differences end in -1
      more = (group & 16) != 0 ? value != -1 : value != 0;
      text.push_back(static_cast<char>((group | (more ? 32 : 0)) + '0'));
    }
  }
  return text;
}

Rle rle_from_string(std::string_view text, int height, int width) {
  const auto fail = [](const std::string& reason) { throw Error(ExitCode::data, "RLE string: " + reason); };
  Rle rle{height, width, {}};
  rle.counts.reserve(text.size());
  size_t i = 0;
  while (i < text.size()) {
    const size_t start = i;
    int64_t value = 0;
    for (int shift = 0;; shift += 5, ++i) {
      if (i == text.size()) fail(fmt::format("ends inside a number that starts at character {}", start));
      if (shift > 30) fail(fmt::format("number of more than 7 characters at character {}", start));
      const int group = static_cast<unsigned char>(text[i]) - '0';
      if (group < 0 || group > 63) fail(fmt::format("character {} (code {}) is outside '0'..'o'", i, group + '0'));
      value |= int64_t{group & 31} << shift;
      if ((group & 32) != 0) continue;
      if ((group & 16) != 0) value -= int64_t{1} << (shift + 5);
      ++i;
      break;
    }
    if (rle.counts.size() > 2) value += rle.counts[rle.counts.size() - 2];
    if (value < 0 || value > INT64_C(0xffffffff)) fail(fmt::format("run {} has length {}", rle.counts.size(), value));
    rle.counts.push_back(static_cast<uint32_t>(value));
  }
  rle_validate(rle);
  return rle;
}

}  // namespace tessera
