// Is a page or a picture well-formed: tags balanced, attributes quoted, entities known, no bare < or &.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// "" or what is wrong. void_tags: HTML's <meta>, <img> ... need no end.
inline std::string markup_problem(std::string_view text, bool void_tags) {
  static constexpr std::array<std::string_view, 5> kVoid = {"meta", "img", "br", "hr", "link"};
  std::vector<std::string> open;
  const auto near = [&](size_t at) { return "' near '" + std::string(text.substr(at, 60)) + "'"; };
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '&') {
      const size_t end = text.find(';', at);
      const std::string_view name = end == std::string_view::npos ? "" : text.substr(at + 1, end - at - 1);
      const bool known = name == "amp" || name == "lt" || name == "gt" || name == "quot" || name == "#39";
      if (!known) return "bare '&" + near(at);
      at = end + 1;
      continue;
    }
    if (text[at] != '<') {
      ++at;
      continue;
    }
    if (text.substr(at).starts_with("<!DOCTYPE html>")) {
      at += 15;
      continue;
    }
    size_t end = at + 1;
    bool quoted = false;
    for (; end < text.size() && (quoted || text[end] != '>'); ++end) {
      if (text[end] == '"') quoted = !quoted;
      if (text[end] == '<') return "bare '<" + near(at);
      if (text[end] == '=' && !quoted && text[end + 1] != '"') return "unquoted attribute '" + near(at);
    }
    if (end >= text.size()) return "unfinished tag '" + near(at);
    const std::string_view tag = text.substr(at + 1, end - at - 1);
    size_t length = tag.starts_with('/') ? 1 : 0;
    while (length < tag.size() && (std::isalnum(static_cast<unsigned char>(tag[length])) != 0)) ++length;
    std::string name(tag.substr(0, length));
    if (name.empty() || name == "/") return "bare '<" + near(at);
    if (name[0] == '/') {
      if (open.empty() || "/" + open.back() != name) return "unbalanced '" + name + near(at);
      open.pop_back();
    } else if (!tag.ends_with('/') && !(void_tags && std::find(kVoid.begin(), kVoid.end(), name) != kVoid.end())) {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

inline size_t occurrences(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace tessera
