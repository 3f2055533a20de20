#include "apps/markup.h"

#include <algorithm>

namespace tessera {

namespace {

// Length of the UTF-8 character at the start of text, 0 if there is none: overlong forms, surrogates, code points
// beyond U+10FFFF and the non-characters U+FFFE and U+FFFF, which XML forbids, are none (Unicode 15, table 3-7).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u; };
  const auto follows = [&](size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe) return 0;
    return follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    return follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const char c = text[0];
    if (length == 0 || (static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
      escaped += "\xef\xbf\xbd";
    } else if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else if (c == '\'') {
      escaped += "&#39;";
    } else {
      escaped += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return escaped;
}

std::string base64(std::span<const uint8_t> bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = uint32_t(bytes[i]) << 16;
    if (count > 1) group |= uint32_t(bytes[i + 1]) << 8;
    if (count > 2) group |= bytes[i + 2];
    text += digits[group >> 18];
    text += digits[group >> 12 & 63];
    text += count > 1 ? digits[group >> 6 & 63] : '=';
    text += count > 2 ? digits[group & 63] : '=';
  }
  return text;
}

std::string image_data_uri(std::span<const uint8_t> bytes) {
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 12));
  const char* type = "png";
  if (start.starts_with("\xff\xd8")) type = "jpeg";
  if (start.starts_with("GIF8")) type = "gif";
  if (start.starts_with("RIFF") && start.substr(8) == "WEBP") type = "webp";
  return "data:image/" + std::string(type) + ";base64," + base64(bytes);
}

}  // namespace tessera
