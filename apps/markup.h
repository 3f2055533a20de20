// Text as XML and HTML take it, and files as data URIs: what pages that stand alone are made of.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

// & < > " ' as entities, for text and attribute values. Control characters other than tab and line break, and bytes
// that are not UTF-8, become U+FFFD: the result is always well-formed.
std::string escape_markup(std::string_view text);

// RFC 4648 section 4, with padding.
std::string base64(std::span<const uint8_t> bytes);

// "data:image/png;base64,..."; the type is judged by the first bytes. bytes: a PNG, JPEG, GIF or WebP file.
std::string image_data_uri(std::span<const uint8_t> bytes);

}  // namespace tessera
